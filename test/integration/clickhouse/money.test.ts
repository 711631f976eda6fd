// Goal: sums of money are exact to the last decimal on every level, also in a database of the previous version.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { deriveTotals } from '../../../shared/clickhouse/derive-totals.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { periodTotals } from '../../../shared/clickhouse/queries/period-totals.ts';
import { usageSeries } from '../../../shared/clickhouse/queries/usage.ts';
import { moneyText } from '../../../shared/domain/money.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';

const dayMs = 86_400_000;
const startMs = Math.floor(Date.now() / dayMs) * dayMs - 2 * dayMs;
const span = { startMs, endMs: startMs + 2 * dayMs };
const minutes = new Set(Array.from({ length: 2 * 1_440 }, (_, index) => startMs + index * 60_000));
let clickhouse: ClickHouse;

beforeAll(async () => {
  clickhouse = createClickHouse({ url: servers().clickhouseUrl, database: uniqueNamespace().database });
  await migrate(clickhouse);
});

afterAll(async () => {
  await clickhouse.command(`DROP DATABASE ${clickhouse.options.database}`);
  await clickhouse.close();
});

const minuteOf = (ms: number): number => ms - (ms % 60_000);

/** Events spread over two days; `cost` is SQL over `number`. */
async function store(tenant: string, count: number, cost: string): Promise<void> {
  await clickhouse.command(
    `INSERT INTO stored_events (time, tenant_id, id_a, id_b, type, plan, route, decision, units, cost)
    SELECT fromUnixTimestamp64Milli({start:Int64} + intDiv(number * 172800000, {count:UInt64}), 'UTC'), {tenant:String},
      1, number, 'tollgate.request.v1', 'pro', 'GET /' || toString(number % 3), 'allowed', 1, ${cost}
    FROM numbers({count:UInt64})`,
    { start: startMs, tenant, count },
  );
  await deriveTotals(clickhouse, { tenantIds: new Set([tenant]), minutes, hasRegrouped: false });
}

async function sums(tenant: string): Promise<string[]> {
  const [row] = await clickhouse.query<{ sums: string[] }>(
    `SELECT [
      (SELECT toString(sum(e.cost)) FROM usage_events AS e WHERE tenant_id = {tenant:String}),
      (SELECT toString(sum(m.cost)) FROM usage_by_minute AS m WHERE tenant_id = {tenant:String}),
      (SELECT toString(sum(h.cost)) FROM usage_by_hour AS h WHERE tenant_id = {tenant:String}),
      (SELECT toString(sum(d.cost)) FROM usage_by_day AS d WHERE tenant_id = {tenant:String})] AS sums`,
    { tenant },
  );
  return row?.sums ?? [];
}

test.each([
  ['a million calls at 0.000075', 1_000_000, '0.000075', '75'],
  ['a hundred thousand calls at 0.1', 100_000, '0.1', '10000'],
  ['a third of a cent and a millionth', 30_000, 'if(number % 2 = 0, 0.0033, 0.000001)', '49.515'],
  [
    'the smallest and large amounts',
    1_000,
    'if(number = 7, 0.000000000001, 123456.75)',
    '123333293.250000000001',
  ],
])('E6: %s cost exactly their sum on every level', async (tenant, count, cost, expected) => {
  await store(tenant, count, cost);
  expect(await sums(tenant)).toEqual([expected, expected, expected, expected]);
  const totals = await periodTotals(clickhouse, [tenant], span);
  expect(moneyText(totals.get(tenant)?.cost ?? -1n)).toBe(expected);
  for (const by of ['minute', 'hour', 'day'] as const) {
    const points = await usageSeries(clickhouse, tenant, by, span);
    expect(moneyText(points.reduce((sum, point) => sum + point.cost, 0n)), by).toBe(expected);
  }
});

test('E6: sums of any costs are exact on every level', async () => {
  const seed = Date.now() % 1_000_000;
  console.log(`sums of money: fast-check seed ${seed}`);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.bigInt({ min: 0n, max: 10n ** 21n }), { minLength: 1, maxLength: 200 }),
      async (costs) => {
        const tenant = `any-${(run += 1)}`;
        await clickhouse.insert(
          'stored_events',
          costs.map((cost, index) => ({
            time: new Date(startMs + index * 800_000).toISOString(),
            ...{ tenant_id: tenant, id_a: 1, id_b: index, type: 't', decision: 'allowed' },
            cost_exact: moneyText(cost),
          })),
        );
        const touched = new Set(costs.map((_, index) => minuteOf(startMs + index * 800_000)));
        await deriveTotals(clickhouse, {
          tenantIds: new Set([tenant]),
          minutes: touched,
          hasRegrouped: false,
        });
        const expected = moneyText(costs.reduce((sum, cost) => sum + cost, 0n));
        expect(await sums(tenant)).toEqual([expected, expected, expected, expected]);
      },
    ),
    { seed, numRuns: 8 },
  );
});

test('money is a decimal in every view', async () => {
  const rows = await clickhouse.query<{ view: string; type: string }>(
    `SELECT table AS view, type FROM system.columns
    WHERE database = currentDatabase() AND name = 'cost' AND table LIKE 'usage%' ORDER BY table`,
  );
  expect(rows.map(({ view }) => view)).toEqual([
    'usage_by_day',
    'usage_by_day_states',
    'usage_by_hour',
    'usage_by_hour_states',
    'usage_by_minute',
    'usage_by_minute_states',
    'usage_events',
  ]);
  expect(new Set(rows.map(({ type }) => type))).toEqual(new Set(['Decimal(38, 12)']));
});
