// Goal: the search finds all missing offsets and sequence numbers exactly, at any position, and all totals that differ.
import { findRefusingLimits } from '../../../services/alerter/evaluate/refusing-limits.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { afterEach, expect, test } from 'vitest';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { deriveTotals } from '../../../shared/clickhouse/derive-totals.ts';
import { compareLevels } from '../../../shared/clickhouse/queries/level-sums.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import {
  bucketNumbers,
  missingBetween,
  storedNumbers,
} from '../../../shared/clickhouse/queries/number-gaps.ts';
import type { MissingRange } from '../../../shared/clickhouse/queries/number-gaps.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';

const startMs = Date.UTC(2026, 10, 20, 12);
const span = { sinceMs: startMs, untilMs: startMs + 3_600_000 };
let clickhouse: ClickHouse;
afterEach(() => clickhouse.close());

/** 300,000 events of two nodes over three partitions, without those selected by the condition. */
async function storeAll(except = '0'): Promise<void> {
  clickhouse = createClickHouse({ url: servers().clickhouseUrl, database: uniqueNamespace().database });
  await migrate(clickhouse);
  await clickhouse.command(
    `INSERT INTO stored_events (time, tenant_id, id_a, id_b, type, node, sequence, decision, kafka_partition, kafka_offset)
    SELECT fromUnixTimestamp64Milli({start:Int64} + number, 'UTC'), 'acme', number % 4096, number, 'tollgate.request.v1',
      'node-' || toString(number % 2), 500 + intDiv(number, 2), 'allowed', number % 3, 90 + intDiv(number, 3)
    FROM numbers(300000) WHERE NOT (${except})`,
    { start: startMs },
  );
}

/** Returns the missing numbers of each series, between its first and last number or within `bounds`. */
async function missing(
  kind: 'offset' | 'sequence',
  bounds: readonly [number, number],
): Promise<Record<string, MissingRange[]>> {
  const found = await storedNumbers(clickhouse, {
    kind,
    fromOffsets: new Map([0, 1, 2].map((partition) => [partition, 0])),
    timeFromMs: 0,
    series: null,
    settledMs: Date.UTC(2200, 0),
  });
  return Object.fromEntries(
    found
      .map((numbers) => [numbers.series, missingBetween(numbers, ...bounds)] as const)
      .filter(([, ranges]) => ranges.length > 0),
  );
}

test('without gaps nothing is reported, also with rows stored twice', async () => {
  await storeAll();
  await clickhouse.command('INSERT INTO stored_events SELECT * FROM stored_events LIMIT 500');
  expect(await missing('offset', [90, 100_089])).toEqual({});
  expect(await missing('sequence', [500, 150_499])).toEqual({});
});

test('each missing number is reported, by partition and by node, also across buckets', async () => {
  const [low, high] = [bucketNumbers - 500 - 2, bucketNumbers - 500 + 1];
  await storeAll(`number = 3000 OR number % 2 = 1 AND intDiv(number, 2) BETWEEN ${low} AND ${high}`);
  expect(await missing('sequence', [500, 150_499])).toEqual({
    'node-0': [{ from: 2000, to: 2000 }],
    'node-1': [{ from: bucketNumbers - 2, to: bucketNumbers + 1 }],
  });
  expect((await missing('offset', [90, 100_089]))['0']).toContainEqual({ from: 1090, to: 1090 });
});

test('expected numbers before the first and after the last stored one are reported', async () => {
  await storeAll('number % 3 = 2');
  const ends = [
    { from: 0, to: 89 },
    { from: 100_090, to: 400_000 },
  ];
  expect(await missing('offset', [0, 400_000])).toEqual({ '0': ends, '1': ends });
  expect(missingBetween(null, 7, 9)).toEqual([{ from: 7, to: 9 }]);
});

test('events that are missing from the totals are found', async () => {
  await storeAll('number >= 10000');
  const minutes = new Set(Array.from({ length: 60 }, (_, index) => startMs + index * 60_000));
  await deriveTotals(clickhouse, { tenantIds: new Set(['acme']), minutes, hasRegrouped: false });
  expect(await compareLevels(clickhouse, span)).toEqual({ events: 10_000, disagreements: [] });
  await clickhouse.command(
    `INSERT INTO stored_events (time, tenant_id, id_a, id_b, type, node, sequence, decision, kafka_partition, kafka_offset)
    VALUES (fromUnixTimestamp64Milli({at:Int64}), 'acme', 1, 77777, 'tollgate.request.v1', 'node-0', 499, 'allowed', 0, 89)`,
    { at: startMs + 5 },
  );
  expect((await compareLevels(clickhouse, span)).disagreements).toEqual([
    { day: '2026-11-20', events: 10_001, by_minute: 10_000, by_hour: 10_000, by_day: 10_000 },
  ]);
});

test('one query returns the refusing limits of several tenants, each in its own two minutes', async () => {
  const nowMs = Date.now();
  const refused = (tenant: string, agoMs: number, limit: string) => ({
    ...({ timeMs: nowMs - agoMs, tenant, decision: 'limited', limitedBy: [limit] } as const),
  });
  await storeUsage(clickhouse, [
    refused('a', 10_000, 'minute'),
    refused('a', 20_000, 'minute'),
    refused('a', 90_000, 'chat'),
    refused('a', 150_000, 'day'),
    refused('b', 10_000, 'day'),
    refused('b', 310_000, 'minute'),
    refused('c', 10_000, 'minute'),
  ]);
  const found = await findRefusingLimits(clickhouse, [
    { tenantId: 'a', atMs: nowMs },
    { tenantId: 'b', atMs: nowMs - 300_000 },
  ]);
  const limitsOf = (id: string) => found.get(id)?.map(({ name, lastMinute }) => [name, lastMinute]);
  expect([...found.keys()]).toEqual(['a', 'b']);
  expect(limitsOf('a')).toEqual([
    ['minute', 2],
    ['chat', 0],
  ]);
  expect(limitsOf('b')).toEqual([['minute', 1]]);
});
