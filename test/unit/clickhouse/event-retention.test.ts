// Goal: the retention of events is read rarely, and a failed read is not kept.
import { expect, test } from 'vitest';
import type { ClickHouseReader } from '../../../shared/clickhouse/client.ts';
import {
  completeFrom,
  createEventsStoredSince,
} from '../../../shared/clickhouse/queries/installation/event-retention.ts';

const dayMs = 86_400_000;

/** A reader that gives one of the results to each query. */
function clickHouseWith(results: readonly (number | Error)[]) {
  let queries = 0;
  const query = (): Promise<unknown> => {
    const result = results[queries++];
    return result instanceof Error
      ? Promise.reject(result)
      : Promise.resolve(result === undefined ? [] : [{ name: 'stored_events', days: result }]);
  };
  return { clickhouse: { query } as unknown as ClickHouseReader, queries: () => queries };
}

test('views at the same time and within ten minutes share one query, with the time of each', async () => {
  const { clickhouse, queries } = clickHouseWith([30, 60]);
  const eventsStoredSince = createEventsStoredSince(clickhouse);
  const nowMs = 100 * dayMs;
  const reads = [0, 0, 599_999].map((laterMs) => eventsStoredSince(nowMs + laterMs));
  expect(await Promise.all(reads)).toEqual([70 * dayMs, 70 * dayMs, 70 * dayMs + 599_999]);
  expect(queries()).toBe(1);
  expect(await eventsStoredSince(nowMs + 600_000)).toBe(40 * dayMs + 600_000);
  expect(queries()).toBe(2);
});

test('a failed query is not kept, and is no missing retention', async () => {
  const { clickhouse, queries } = clickHouseWith([new Error('down'), 30]);
  const eventsStoredSince = createEventsStoredSince(clickhouse);
  await expect(eventsStoredSince(100 * dayMs)).rejects.toThrow('down');
  expect(await eventsStoredSince(100 * dayMs)).toBe(70 * dayMs);
  expect(queries()).toBe(2);
});

test('events without retention do not expire', async () => {
  expect(await createEventsStoredSince(clickHouseWith([]).clickhouse)(0)).toBeNull();
});

test.each([
  [5, null, null],
  [5, 5, null],
  [5, 4, null],
  [5, 6, '1970-01-01T00:00:00.006Z'],
])('figures since %d of events since %s are complete from %s', (startMs, storedSinceMs, from) => {
  expect(completeFrom(startMs, storedSinceMs)).toBe(from);
});
