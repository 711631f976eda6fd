// Goal: the sample history is plausible, the same on every machine, and consistent with its totals. Method: create it in
// databases of this test and query the views that analysts use.
import { afterAll, expect, test } from 'vitest';
import { createHistory, historyParams } from '../../../dev/sample/history/history.ts';
import { historyCallsSql } from '../../../dev/sample/history/history-sql.ts';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';

/** Fewer than at a start, to save time. The incident is within these days. */
const days = 42;
const nowMs = Date.parse('2026-11-26T15:00:00Z');
const databases: ClickHouse[] = [];
afterAll(async () => {
  for (const clickhouse of databases) {
    await clickhouse.command(`DROP DATABASE ${clickhouse.options.database}`);
    await clickhouse.close();
  }
});

async function emptyDatabase(): Promise<ClickHouse> {
  const clickhouse = createClickHouse({
    url: servers().clickhouseUrl,
    database: uniqueNamespace().database,
  });
  databases.push(clickhouse);
  await migrate(clickhouse);
  return clickhouse;
}

async function only<Row>(clickhouse: ClickHouse, sql: string): Promise<Row> {
  return (await clickhouse.query<Row>(sql))[0]!;
}

test('an empty database gets calls of the past with weekdays, growth and one incident, once', async () => {
  const clickhouse = await emptyDatabase();
  const history = await createHistory(clickhouse, nowMs, { days });
  expect(history?.days).toBe(days);
  expect(await createHistory(clickhouse, nowMs)).toBeNull();
  const rows = await clickhouse.query<{ day: string; requests: number; errors: number; weekend: number }>(
    `SELECT day, sum(requests) AS requests, sum(errors) AS errors, toDayOfWeek(day) >= 6 AS weekend
    FROM usage_by_day GROUP BY day ORDER BY day`,
  );
  expect(rows).toHaveLength(days + 1);
  const mean = (list: readonly { requests: number }[]): number =>
    list.reduce((sum, { requests }) => sum + requests, 0) / list.length;
  const weekdays = rows.slice(0, -1).filter(({ weekend }) => weekend === 0);
  const weekends = rows.slice(0, -1).filter(({ weekend }) => weekend === 1);
  expect(mean(weekends)).toBeLessThan(0.5 * mean(weekdays));
  expect(mean(weekdays.slice(0, 10))).toBeLessThan(0.75 * mean(weekdays.slice(-10)));
  const shares = rows
    .slice(0, -1)
    .map(({ requests, errors }) => errors / requests)
    .sort((a, b) => b - a);
  expect(shares[0]).toBeGreaterThan(2 * shares[1]!);
});

test('the totals of the history equal its events, no event is stored twice, and quotas hold', async () => {
  const [clickhouse] = databases;
  const events = await only<{ rows: number; ids: number; units: number }>(
    clickhouse!,
    'SELECT count() AS rows, uniqExact(event_id) AS ids, sum(units) AS units FROM usage_events',
  );
  expect(events.ids).toBe(events.rows);
  for (const level of ['minute', 'hour', 'day']) {
    const totals = await only<{ rows: number; units: number }>(
      clickhouse!,
      `SELECT sum(requests) AS rows, sum(units) AS units FROM usage_by_${level}`,
    );
    expect(totals, level).toEqual({ rows: events.rows, units: events.units });
  }
  const wren = await clickhouse!.query<{ day: string; units: number }>(
    "SELECT day, sum(units) AS units FROM usage_by_day WHERE tenant_id = 'wren' GROUP BY day HAVING units >= 300",
  );
  expect(new Set(wren.map(({ units }) => units))).toEqual(new Set([300]));
  const alerts = await only<{ days: number }>(clickhouse!, 'SELECT count() AS days FROM alerts');
  expect(alerts.days).toBeGreaterThan(0);
  const { today } = await only<{ today: number }>(
    clickhouse!,
    "SELECT count() AS today FROM usage_events WHERE tenant_id = 'acme' AND time >= '2026-11-26 00:00:00'",
  );
  expect(today, 'a tenant without traffic begins the day with no calls').toBe(0);
});

test('F1: calls of models have spend and settled reservations, on every day and for every tenant', async () => {
  const [clickhouse] = databases;
  const spend = await only<{ tenants: number; models: number; days: number; wrong: number; open: number }>(
    clickhouse!,
    `SELECT uniqExact(tenant_id) AS tenants, uniqExact(model) AS models, uniqExact(toDate(time)) AS days,
      countIf(reservation = 'settled' AND (cost = 0 OR quantities['usd'] < cost OR quantities['usd'] >= cost + 0.000001
        OR quantities['tokens'] != measures['input_tokens'] + measures['output_tokens'])) AS wrong,
      countIf(reservation NOT IN ('settled', 'cancelled')) AS open
    FROM usage_events WHERE model != '' AND decision = 'allowed'`,
  );
  expect(spend).toEqual({ tenants: 7, models: 3, days: days + 1, wrong: 0, open: 0 });
  const [events, totals] = await Promise.all(
    ['usage_events', 'usage_by_day'].map((level) =>
      only<{ usd: string; cost: string }>(
        clickhouse!,
        `SELECT toString(sum(u.quantities['usd'])) AS usd, toString(sum(u.cost)) AS cost FROM ${level} AS u WHERE model != ''`,
      ),
    ),
  );
  expect(totals).toEqual(events);
});

test('the same seed gives the same events, another seed gives others', async () => {
  const digestOf = async (seed: number): Promise<string> => {
    const [row] = await databases[0]!.query<{ digest: string }>(
      `SELECT toString(groupBitXor(cityHash64(*))) AS digest FROM (${historyCallsSql})`,
      historyParams(nowMs, seed, 5),
    );
    return row!.digest;
  };
  const [first, again, other] = [await digestOf(1), await digestOf(1), await digestOf(2)];
  expect(again).toBe(first);
  expect(other).not.toBe(first);
});
