// Goal: views are exact at any time, queries by time and tenant are fast, and a delayed writer cannot lower a total.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { deriveTotals } from '../../../shared/clickhouse/derive-totals.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { nestedTotals, periodTotals } from '../../../shared/clickhouse/queries/period-totals.ts';
import { servedSince } from '../../../shared/clickhouse/queries/installation/served-since.ts';
import { usageShares } from '../../../shared/clickhouse/queries/portal/usage-shares.ts';
import { recentRefusals } from '../../../shared/clickhouse/queries/usage.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';

const startMs = Date.UTC(2026, 9, 31, 23, 0);
const hourMs = 3_600_000;
let clickhouse: ClickHouse;

beforeAll(async () => {
  clickhouse = createClickHouse({ url: servers().clickhouseUrl, database: uniqueNamespace().database });
  await migrate(clickhouse);
  await clickhouse.command('SYSTEM STOP MERGES stored_events');
  for (let copy = 0; copy < 2; copy += 1) await insertTwoHours();
});

afterAll(() => clickhouse.close());

/** 72,000 events of 20 tenants over the two hours around the end of October. */
async function insertTwoHours(): Promise<void> {
  await clickhouse.command(
    `INSERT INTO stored_events (time, tenant_id, id_a, id_b, type, plan, route, status, decision, units, latency_ms)
    SELECT fromUnixTimestamp64Milli({start:Int64} + number * 100, 'UTC'), 'tenant-' || toString(number % 20), number % 4096, number,
      'tollgate.request.v1', 'pro', 'GET /' || toString(number % 3), 200, if(number % 10 = 0, 'limited', 'allowed'), 1, number % 50
    FROM numbers(72000)`,
    { start: startMs },
  );
}

const tenantIds = new Set(Array.from({ length: 20 }, (_, index) => `tenant-${index}`));
const minutes = new Set(Array.from({ length: 120 }, (_, index) => startMs + index * 60_000));

async function numbers(): Promise<Record<string, number>> {
  const [row] = await clickhouse.query<Record<string, number>>(`
    SELECT (SELECT count() FROM usage_events) AS events, (SELECT count() FROM stored_events) AS stored,
      (SELECT sum(requests) FROM usage_by_minute) AS minutes, (SELECT sum(requests) FROM usage_by_hour) AS hours,
      (SELECT sum(requests) FROM usage_by_day) AS days, (SELECT sum(limited) FROM usage_by_day) AS limited`);
  return row!;
}

describe('stored events and totals', () => {
  test('rows stored twice and not merged yet count once, in events and in every total, also across months', async () => {
    await deriveTotals(clickhouse, { tenantIds, minutes, hasRegrouped: false });
    await deriveTotals(clickhouse, { tenantIds, minutes, hasRegrouped: false });
    expect(await numbers()).toEqual({
      events: 72_000,
      stored: 144_000,
      minutes: 72_000,
      hours: 72_000,
      days: 72_000,
      limited: 7_200,
    });
  });

  test('a total computed from fewer events never replaces one computed from more, however late it is written', async () => {
    const before = await numbers();
    for (const [table, start] of [
      ['stored_minutes', 'minute'],
      ['stored_hours', 'hour'],
      ['stored_days', 'day'],
    ] as const) {
      await clickhouse.command(
        `INSERT INTO ${table}
          (${start}, tenant_id, plan, route, type, decision, requests, errors, units, cost_exact, latency, version)
        SELECT ${start}, tenant_id, plan, route, type, decision, 1, 0, 1, 0, latency, version - 1
        FROM ${table} FINAL`,
      );
    }
    expect(await numbers()).toEqual(before);
  });

  test('a condition on time and tenant reads only the granules it needs', async () => {
    const plan = async (condition: string): Promise<number> => {
      const rows = await clickhouse.query<{ explain: string }>(
        `EXPLAIN indexes = 1 SELECT count() FROM usage_events WHERE ${condition}`,
      );
      const granules = rows
        .map(({ explain }) => /Granules: (\d+)(?:\/\d+)?$/.exec(explain)?.[1])
        .filter(Boolean);
      return Number(granules.at(-1));
    };
    const all = await plan('1');
    const hour = await plan(`time >= '2026-10-31 23:10:00' AND time < '2026-10-31 23:20:00'`);
    expect(hour).toBeLessThan(all / 3);
    const month = await plan(`time >= '2026-11-01 00:00:00'`);
    expect(month).toBeLessThanOrEqual(all / 2 + 2);
  });

  test('the totals of a span equal the events in it, for zones with any offset', async () => {
    for (const span of [
      { startMs: startMs - 23 * 3_600_000, endMs: startMs + 3_600_000 },
      { startMs: startMs + 30 * 60_000, endMs: startMs + 105 * 60_000 },
      { startMs: startMs - 3_600_000, endMs: startMs + 45 * 60_000 },
    ]) {
      const [row] = await clickhouse.query<{ requests: number }>(
        `SELECT count() AS requests FROM usage_events WHERE tenant_id = 'tenant-1'
        AND time >= fromUnixTimestamp64Milli({from:Int64}) AND time < fromUnixTimestamp64Milli({to:Int64})`,
        { from: span.startMs, to: span.endMs },
      );
      const totals = await periodTotals(clickhouse, ['tenant-1', 'tenant-none'], span);
      expect(totals.get('tenant-1')?.requests).toBe(row?.requests);
      expect(totals.has('tenant-none')).toBe(false);
    }
  });

  test('one statement returns the totals of a month and of a day in it, in any time zone', async () => {
    const octoberDayMs = Date.UTC(2026, 9, 31);
    for (const offsetMs of [0, -5.5 * hourMs, 13.75 * hourMs]) {
      const day = { startMs: octoberDayMs + offsetMs, endMs: octoberDayMs + offsetMs + 24 * hourMs };
      const month = { startMs: day.startMs - 10 * 24 * hourMs, endMs: day.endMs + 20 * 24 * hourMs };
      const { part, whole } = await nestedTotals(clickhouse, ['tenant-1', 'tenant-2'], {
        whole: month,
        part: day,
      });
      expect(part.size + whole.size, String(offsetMs)).toBeGreaterThan(0);
      expect(part).toEqual(await periodTotals(clickhouse, ['tenant-1', 'tenant-2'], day));
      expect(whole).toEqual(await periodTotals(clickhouse, ['tenant-1', 'tenant-2'], month));
    }
  });

  test('the routes and users of a tenant with the most requests are those of its events', async () => {
    const shares = async (by: 'route' | 'user'): Promise<object[]> =>
      await usageShares(clickhouse, 'tenant-10', { by, sinceMs: startMs + 1 }, 2);
    const counted = await clickhouse.query<object>(
      `SELECT route AS key, count() AS requests, countIf(decision = 'limited') AS limited, 0 AS cost
      FROM usage_events WHERE tenant_id = 'tenant-10' GROUP BY key ORDER BY requests DESC, key LIMIT 2`,
    );
    expect(await shares('route')).toEqual(counted.map((row) => ({ ...row, cost: 0n })));
    expect(await shares('user')).toEqual([{ key: '', requests: 3600, limited: 3600, cost: 0n }]);
  });

  test('a gateway served if it recorded a request since the day; events of API servers do not count', async () => {
    expect(await servedSince(clickhouse, startMs)).toBe(true);
    const laterMs = startMs + 48 * hourMs;
    await clickhouse.command(
      `INSERT INTO stored_days (day, tenant_id, type, decision, requests, version)
      SELECT toDate(fromUnixTimestamp64Milli({at:Int64}, 'UTC')), 'tenant-published', 'llm.completion.v1', 'allowed', 1, 1`,
      { at: laterMs },
    );
    expect(await servedSince(clickhouse, laterMs)).toBe(false);
  });

  test('the latest refusals are complete, also those that no total contains yet', async () => {
    const untilNow = { startMs: startMs - hourMs, endMs: startMs + 2 * hourMs };
    const newest = async (tenant: string, countMax: number): Promise<readonly string[]> =>
      (await recentRefusals(clickhouse, tenant, untilNow, countMax)).map(({ event_id: id }) => id);
    const expected = await clickhouse.query<{ event_id: string }>(
      `SELECT event_id FROM usage_events WHERE tenant_id = 'tenant-0' AND decision = 'limited' ORDER BY time DESC LIMIT 2000`,
    );
    const ids = expected.map(({ event_id: id }) => id);
    expect(await newest('tenant-0', 3)).toEqual(ids.slice(0, 3));
    expect(await newest('tenant-0', 2000)).toEqual(ids);
    expect(await newest('tenant-1', 3)).toEqual([]);
    await clickhouse.insert('stored_events', [
      {
        ...{ time: new Date(untilNow.endMs - 1).toISOString(), tenant_id: 'tenant-late', id_b: 1 },
        ...{ type: 'tollgate.request.v1', decision: 'limited' },
      },
    ]);
    expect(await newest('tenant-late', 3)).toHaveLength(1);
  });
});
