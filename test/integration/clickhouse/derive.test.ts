// Goal: events of one tenant with times spread over a year do not delay the totals of other tenants.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { deriveTotals } from '../../../shared/clickhouse/derive-totals.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;
const days = 360;
/** Step between two events. It is longer than a day, so that each event is on another day. */
const gapMs = dayMs + 7 * minuteMs;
const firstMs = Math.floor((Date.now() - days * gapMs - dayMs) / minuteMs) * minuteMs;
let clickhouse: ClickHouse;

beforeAll(async () => {
  clickhouse = createClickHouse({ url: servers().clickhouseUrl, database: uniqueNamespace().database });
  await migrate(clickhouse);
});

afterAll(() => clickhouse.close());

/** Creates one event at each multiple of `stepMs`. */
async function insertEvents(tenant: string, count: number, stepMs: number): Promise<void> {
  await clickhouse.command(
    `INSERT INTO stored_events (time, tenant_id, id_a, id_b, type, plan, route, status, decision, units, latency_ms)
    SELECT fromUnixTimestamp64Milli({first:Int64} + number * {step:Int64}, 'UTC'), {tenant:String}, number % 4096, number,
      'tokens.used', 'free', '', 200, 'allowed', 1, 0
    FROM numbers({count:UInt32})`,
    { first: firstMs, step: stepMs, tenant, count },
  );
}

describe('the totals of a block', () => {
  test('C2: cells on hundreds of days need a few statements, and every level counts each event once', async () => {
    await insertEvents('spread', days, gapMs);
    await insertEvents('other', 2_000_000, 15_000);
    const minutes = new Set(Array.from({ length: days }, (_, index) => firstMs + index * gapMs));
    let statements = 0;
    const counting: ClickHouse = {
      ...clickhouse,
      command: (sql, params) => {
        statements += 1;
        return clickhouse.command(sql, params);
      },
    };
    await deriveTotals(counting, { tenantIds: new Set(['spread']), minutes, hasRegrouped: false });
    expect(statements).toBeLessThanOrEqual(12);
    const [totals] = await clickhouse.query<Record<string, number>>(`
      SELECT (SELECT sum(requests) FROM usage_by_minute) AS minutes, (SELECT sum(requests) FROM usage_by_hour) AS hours,
        (SELECT sum(requests) FROM usage_by_day) AS days, (SELECT uniqExact(day) FROM usage_by_day) AS days_with_events`);
    expect(totals).toEqual({ minutes: days, hours: days, days, days_with_events: days });
  });

  test('a list of distant minutes reads the granules of these minutes and none between them', async () => {
    // About one granule of the 20 granules in each monthly partition.
    const cells = Array.from({ length: 13 }, (_, index) => (firstMs + index * 27 * gapMs) / 1_000);
    const explained = await clickhouse.query<{ explain: string }>(
      `EXPLAIN indexes = 1 SELECT count() FROM stored_events AS e FINAL
      WHERE e.time >= toDateTime64({from:UInt32}, 3, 'UTC') AND e.time < toDateTime64({to:UInt32}, 3, 'UTC')
        AND toUnixTimestamp(toStartOfMinute(e.time)) IN {cells:Array(UInt32)}`,
      { from: cells[0] ?? 0, to: (cells.at(-1) ?? 0) + 60, cells },
    );
    const granules = explained
      .map(({ explain }) => /Granules: (\d+)(?:\/\d+)?$/.exec(explain)?.[1])
      .filter((count) => count !== undefined);
    const parts = await clickhouse.query<{ marks: number }>(
      `SELECT sum(marks - 1) AS marks FROM system.parts WHERE active AND database = currentDatabase() AND table = 'stored_events'`,
    );
    expect(Number(granules.at(-1))).toBeLessThan((parts[0]?.marks ?? 0) / 3);
  });
});
