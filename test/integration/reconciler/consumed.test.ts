import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { readConsumed } from '../../../shared/clickhouse/queries/consumption/consumed.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { freshDatabase } from './database.ts';

const at = (iso: string): number => Date.parse(iso);
let clickhouse: ClickHouse;

beforeAll(async () => {
  clickhouse = await freshDatabase();
  await storeUsage(clickhouse, [
    { tenant: 'a', units: 1, timeMs: at('2026-03-02T09:59:59.999Z'), route: '*' },
    {
      ...{ tenant: 'a', units: 2, timeMs: at('2026-03-02T10:20:29.999Z'), route: '*' },
      ...{ quantities: { usd: '0.000000000001', tokens: 5 }, reservation: 'open' },
    },
    { tenant: 'a', units: 4, timeMs: at('2026-03-02T10:21:00.000Z'), route: 'POST /agent/chat' },
    {
      ...{ tenant: 'a', units: 8, timeMs: at('2026-03-02T12:00:00.000Z'), plan: 'pro', route: '*' },
      ...{ quantities: { tokens: 7 }, reservation: 'settled', reserved: { tokens: 90 } },
    },
    {
      tenant: 'a',
      units: 16,
      timeMs: at('2026-03-02T12:01:00.000Z'),
      decision: 'shadow_limited',
      route: '*',
    },
    { tenant: 'a', units: 32, timeMs: at('2026-03-02T12:02:00.000Z'), decision: 'limited', route: '*' },
    { tenant: 'a', units: 64, timeMs: at('2026-03-02T12:03:00.000Z'), decision: 'bypassed', route: '*' },
    { tenant: 'b', units: 128, timeMs: at('2026-03-02T12:00:00.000Z'), route: '*' },
  ]);
});

afterAll(async () => {
  await clickhouse.command(`DROP DATABASE ${clickhouse.options.database}`);
  await clickhouse.close();
});

test.each([
  ['the start of an hour', '2026-03-02T09:00:00.000Z', 31],
  ['the next hour', '2026-03-02T10:00:00.000Z', 30],
  ['the middle of an hour', '2026-03-02T10:21:00.000Z', 28],
  ['the middle of a minute', '2026-03-02T10:20:29.999Z', 30],
  ['a millisecond later', '2026-03-02T10:20:30.000Z', 28],
  ['after the last event', '2026-03-02T13:00:00.001Z', 0],
])('sums the units that passed under a limit, from %s (%s): %d units', async (_, from, units) => {
  const rows = await readConsumed(clickhouse, { fromMs: at(from), tenantIds: ['a'] });
  expect(rows.reduce((sum, row) => sum + (row.units ?? Number.NaN), 0)).toBe(units);
});

test('returns every tenant and route, with the plan', async () => {
  const rows = await readConsumed(clickhouse, { fromMs: at('2026-03-02T10:21:00.000Z'), tenantIds: null });
  expect(rows.toSorted((x, y) => (x.units ?? 0) - (y.units ?? 0))).toMatchObject([
    { tenant_id: 'a', route: 'POST /agent/chat', units: 4, plan: 'free' },
    { tenant_id: 'a', route: '*', units: 24, plan: 'pro' },
    { tenant_id: 'b', route: '*', units: 128, plan: 'free' },
  ]);
});

test.each([
  ['hours', '2026-03-02T10:00:00.000Z'],
  ['minutes', '2026-03-02T10:20:00.000Z'],
  ['events', '2026-03-02T10:20:29.000Z'],
])('sums amounts exactly, and those of open reservations apart, from %s', async (_, from) => {
  const rows = await readConsumed(clickhouse, { fromMs: at(from), tenantIds: ['a'] });
  expect(rows.find(({ route }) => route === '*')).toMatchObject({
    quantities: { usd: 1n, tokens: 12n * 10n ** 12n },
    reserved: { usd: 1n, tokens: 5n * 10n ** 12n },
    reserved_units: 2,
  });
});

test('a database that does not answer is an error, never a zero', async () => {
  const unavailable = createClickHouse({ url: 'http://127.0.0.1:9', database: 'none' });
  await expect(readConsumed(unavailable, { fromMs: 0, tenantIds: null })).rejects.toThrow('did not answer');
  await unavailable.close();
});
