// Goal: a meter aggregates its events by window, time zone and group, and text of an event is never executed as SQL.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { meterCsv, queryMeter } from '../../../shared/clickhouse/queries/meters.ts';
import type { MeterQuery } from '../../../shared/clickhouse/queries/meters.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { periodAt } from '../../../shared/domain/time/calendar.ts';
import { moneyText } from '../../../shared/domain/money.ts';
import type { MeterAggregation, MeterDefinition } from '../../../shared/domain/meter.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';

const ianaNames = readFileSync(join(import.meta.dirname, '../../unit/domain/iana-names.txt'), 'utf8')
  .trim()
  .split(/\s+/);
const day = Date.UTC(2026, 9, 25);
let clickhouse: ClickHouse;

beforeAll(async () => {
  clickhouse = createClickHouse({ url: servers().clickhouseUrl, database: uniqueNamespace().database });
  await migrate(clickhouse);
  const at = (hour: number, index: number, tokens: string, model: string, tenant = 'acme') => ({
    time: new Date(day + hour * 3_600_000).toISOString(),
    tenant_id: tenant,
    id_a: index,
    id_b: index,
    external_id: `event-${index}`,
    type: 'tokens.used',
    source: 'app',
    decision: 'allowed',
    user_id: `user-${index % 2}`,
    properties: { tokens, model },
  });
  await clickhouse.insert('stored_events', [
    at(-0.5, 1, '5', 'small'),
    at(0.5, 2, '10', 'small'),
    at(1.5, 3, '20.5', 'large, "new"'),
    at(1.6, 4, 'many', 'small'),
    at(22.5, 5, '1', 'small'),
    at(23.5, 6, '7', 'large, "new"'),
    at(1.5, 7, '1000', 'small', 'other'),
  ]);
});

afterAll(() => clickhouse.close());

const meter = (aggregation: MeterAggregation, value: string | null = 'tokens'): MeterDefinition => ({
  ...{ name: 'tokens', eventType: 'tokens.used', groupBy: ['model', 'user_id'] },
  aggregation,
  value,
});

const whole: MeterQuery = {
  ...{
    tenantId: 'acme',
    fromMs: day - 86_400_000,
    toMs: day + 2 * 86_400_000,
    window: null,
    timeZone: 'UTC',
  },
  groupBy: [],
  filter: {},
  top: null,
};

async function values(
  definition: MeterDefinition,
  change: Partial<MeterQuery> = {},
): Promise<(number | bigint | null)[]> {
  return (await queryMeter(clickhouse, definition, { ...whole, ...change })).rows.map(({ value }) => value);
}

describe('meters', () => {
  test.each([
    ['sum', 43.5],
    ['count', 6],
    ['unique', 6],
    ['min', 1],
    ['max', 20.5],
    ['average', 8.7],
    ['latest', 7],
  ] as const)('%s of what is a number, of this tenant only', async (aggregation, expected) => {
    expect(await values(meter(aggregation))).toEqual([expected]);
  });

  test('windows begin in the zone of the query, also when its clocks change', async () => {
    // Berlin, 25 October 2026, has 25 hours: 22:00 UTC of the day before to 23:00 UTC.
    const { rows } = await queryMeter(clickhouse, meter('sum'), {
      ...whole,
      window: 'day',
      timeZone: 'Europe/Berlin',
    });
    expect(rows.map(({ window_start, window_end, value }) => [window_start, window_end, value])).toEqual([
      ['2026-10-24T22:00:00.000Z', '2026-10-25T23:00:00.000Z', 36.5],
      ['2026-10-25T23:00:00.000Z', '2026-10-26T23:00:00.000Z', 7],
    ]);
    expect(await values(meter('sum'), { window: 'day' })).toEqual([5, 38.5]);
    expect(await values(meter('sum'), { window: 'hour' })).toEqual([5, 10, 20.5, 1, 7]);
    expect(await values(meter('sum'), { window: 'month', timeZone: 'Asia/Kolkata' })).toEqual([43.5]);
    expect(await values(meter('count', null), { window: 'minute' })).toEqual([1, 1, 1, 1, 1, 1]);
  });

  test('windows equal the periods of quotas, in every zone and at every change of its clocks', async () => {
    const seed = Date.now() % 1_000_000;
    console.log(`meter windows: fast-check seed ${seed}`);
    const fromMs = Date.UTC(2026, 0, 1);
    const hours = 400 * 24;
    await clickhouse.command(
      `INSERT INTO stored_events (time, tenant_id, id_a, id_b, type, external_id, decision)
      SELECT fromUnixTimestamp64Milli({from:Int64} + number * 1800000 + 1, 'UTC'), 'hourly', 1, number, 'tokens.used',
        toString(number), 'allowed' FROM numbers({count:UInt32})`,
      { from: fromMs, count: 2 * hours },
    );
    const times = Array.from({ length: 2 * hours }, (_, half) => fromMs + half * 1_800_000 + 1);
    const zones = fc.constantFrom('America/Santiago', 'Asia/Beirut', 'Australia/Lord_Howe', ...ianaNames);
    await fc.assert(
      fc.asyncProperty(
        zones,
        fc.constantFrom('day' as const, 'month' as const),
        fc.nat(times.length - 2),
        async (timeZone, window, first) => {
          const query = {
            ...whole,
            tenantId: 'hourly',
            window,
            timeZone,
            fromMs: times[first]!,
            toMs: times.at(-1)!,
          };
          const { rows } = await queryMeter(clickhouse, meter('count', null), query);
          const counts = new Map<string, number>();
          for (const time of times.slice(first, -1)) {
            const { startMs, endMs } = periodAt(window, timeZone, time);
            const key = `${new Date(startMs).toISOString()} ${new Date(endMs).toISOString()}`;
            counts.set(key, (counts.get(key) ?? 0) + 1);
          }
          expect(rows.map((row) => [`${row.window_start} ${row.window_end}`, row.value])).toEqual([
            ...counts,
          ]);
        },
      ),
      {
        seed,
        numRuns: 12,
        examples: [
          ['America/Santiago', 'day', 0],
          ['Africa/Cairo', 'day', 0],
        ],
      },
    );
  });

  test('E6: cost is measured in decimals', async () => {
    const paid = (index: number, cost: string) => ({
      ...{ time: new Date(day + index).toISOString(), tenant_id: 'payer', id_a: 1, id_b: index },
      ...{
        type: 'tokens.used',
        external_id: String(index),
        source: 'app',
        decision: 'allowed',
        cost_exact: cost,
      },
    });
    await clickhouse.insert(
      'stored_events',
      ['0.1', '0.2', '1000000.000000000001'].map((cost, index) => paid(index, cost)),
    );
    const costs = async (aggregation: MeterAggregation) => {
      const [value] = await values(meter(aggregation, 'cost'), { tenantId: 'payer' });
      return typeof value === 'bigint' ? moneyText(value) : value;
    };
    expect(await costs('sum')).toBe('1000000.300000000001');
    expect(await costs('max')).toBe('1000000.000000000001');
    expect(await costs('min')).toBe('0.1');
    expect(await costs('latest')).toBe('1000000.000000000001');
    expect(await costs('average')).toBeCloseTo(333_333.43, 2);
    expect(await values(meter('sum', 'cost'), { tenantId: 'none' })).toEqual([]);
  });

  test('groups and filters by property and by column', async () => {
    const { rows } = await queryMeter(clickhouse, meter('sum'), { ...whole, groupBy: ['model'] });
    expect(rows.map(({ group, value }) => [group['model'], value])).toEqual([
      ['large, "new"', 27.5],
      ['small', 16],
    ]);
    expect(await values(meter('count', null), { groupBy: ['user_id'] })).toEqual([3, 3]);
    expect(await values(meter('sum'), { filter: { model: 'small', user_id: 'user-1' } })).toEqual([6]);
    expect(meterCsv(rows, ['model']).split('\r\n')[1]).toMatch(/,"large, ""new""",27.5$/);
  });

  test('a field named like a column of requests is a property in events of API servers', async () => {
    const other = {
      time: new Date(day).toISOString(),
      tenant_id: 'columns',
      id_a: 1,
      id_b: 1,
      source: 'app',
    };
    await clickhouse.insert('stored_events', [
      {
        ...other,
        type: 'calls',
        external_id: 'a',
        latency_ms: 0,
        properties: { latency_ms: '12.5', status: 'ok' },
      },
      { ...other, type: 'tollgate.request.v1', id_b: 2, latency_ms: 7, status: 200 },
    ]);
    const latency = { ...meter('sum', 'latency_ms'), groupBy: ['status'] };
    const query = { ...whole, tenantId: 'columns', groupBy: ['status'] };
    const groups = async (eventType: string) =>
      (await queryMeter(clickhouse, { ...latency, eventType }, query)).rows.map(({ group, value }) => [
        group['status'],
        value,
      ]);
    expect(await groups('calls')).toEqual([['ok', 12.5]]);
    expect(await groups('tollgate.request.v1')).toEqual([['200', 7]]);
  });

  test('names and values that look like SQL are used as names and values', async () => {
    const odd = `x'] FROM usage_events --`;
    expect(
      await values(meter('sum', odd), { groupBy: [odd, 'constructor'], filter: { [odd]: `' OR 1=1` } }),
    ).toEqual([]);
    expect(await values(meter('sum', odd), { groupBy: [odd] })).toEqual([null]);
    expect(await values(meter('sum'), { tenantId: `acme' OR '1'='1` })).toEqual([]);
  });
});

describe('fields of calls', () => {
  const call = {
    ...{ time: new Date(day).toISOString(), tenant_id: 'calls', source: 'app', decision: 'allowed' },
    ...{ id_a: 1, type: 'tollgate.request.v1' },
  };
  const of = { ...whole, tenantId: 'calls' };
  const onRequests = (aggregation: MeterAggregation, value: string): MeterDefinition => ({
    ...{ name: 'm', eventType: 'tollgate.request.v1', aggregation, value, groupBy: ['model', 'user_id'] },
  });
  beforeAll(() =>
    clickhouse.insert('stored_events', [
      {
        ...call,
        id_b: 11,
        user_id: 'ada',
        model: 'a',
        quantities: { usd: '0.100000000001' },
        measures: { out: 7 },
      },
      { ...call, id_b: 12, user_id: 'bob', model: 'a', quantities: { usd: '0.2' } },
      { ...call, id_b: 13, user_id: 'eve', model: 'b', quantities: { usd: '0.7' }, measures: { out: 5 } },
      { ...call, id_b: 14, user_id: 'ada', model: 'c', quantities: { tokens: 9 } },
      {
        ...{ ...call, id_b: 15, type: 'llm', external_id: 'x' },
        properties: { usage: '{"total":12.5,"of":{"kind":"a\\"b"},"none":null}', 'usage.exact': '3' },
      },
    ]),
  );

  test('amounts and measures are measured by path, amounts exactly, and grouped by model', async () => {
    const { rows } = await queryMeter(clickhouse, onRequests('sum', 'quantities.usd'), {
      ...of,
      groupBy: ['model'],
    });
    expect(rows.map(({ group, value }) => [group['model'], value])).toEqual([
      ['a', 300_000_000_001n],
      ['b', 700_000_000_000n],
      ['c', null],
    ]);
    expect(await values(onRequests('max', 'measures.out'), of)).toEqual([7]);
  });

  test('top returns the groups with the largest values, in order of group', async () => {
    const top = (count: number, filter = {}): MeterQuery => ({
      ...of,
      groupBy: ['user_id'],
      top: count,
      filter,
    });
    const users = async (query: MeterQuery) =>
      (await queryMeter(clickhouse, onRequests('sum', 'quantities.usd'), query)).rows.map(
        ({ group }) => group['user_id'],
      );
    expect(await users(top(1))).toEqual(['eve']);
    expect(await users(top(2))).toEqual(['bob', 'eve']);
    expect(await users(top(1, { model: 'a' }))).toEqual(['bob']);
  });

  test.each([
    ['sum', 'usage.total', 12.5],
    ['unique', 'usage.of.kind', 1],
    ['sum', 'usage.exact', 3],
    ['sum', 'usage.none', null],
  ] as const)('%s of the path %s is %s', async (aggregation, value, expected) => {
    const definition = { ...onRequests(aggregation, value), eventType: 'llm', groupBy: [] };
    expect(await values(definition, of)).toEqual([expected]);
  });
});
