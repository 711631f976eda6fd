import type { ClickHouseReader } from '../clickhouse/client.ts';
import { countRecordedEvents, readRecordedEvents } from '../clickhouse/queries/recorded/recorded-events.ts';
import type {
  RecordedEvent,
  RecordedEventsQuery,
  TimeRange,
} from '../clickhouse/queries/recorded/recorded-events.ts';

/** Rows of one query: their text is parsed at once, and other work of the process waits for it. */
const rowsPerQuery = 10_000;
const minuteMs = 60_000;
/**
 * An event is stored by the time at which its decision began, and replayed by the time of its decision in Redis. The two differ
 * by less than this, so an event of a later query is at most this much earlier than the end of the query before.
 */
const orderMs = 1_000;

/** Divides a range into ranges of about `rowsMax` rows each. `rows`: the number of all rows. */
export async function divideRange(
  clickhouse: ClickHouseReader,
  query: RecordedEventsQuery,
  signal: AbortSignal | undefined,
  rowsMax = rowsPerQuery,
): Promise<{ readonly ranges: readonly TimeRange[]; readonly rows: number }> {
  const minutes = await countRecordedEvents(clickhouse, query, signal === undefined ? {} : { signal });
  const ranges: TimeRange[] = [];
  let [fromMs, rows, sum] = [query.fromMs, 0, 0];
  const end = (toMs: number): void => {
    if (toMs > fromMs) ranges.push({ fromMs, toMs });
    [fromMs, rows] = [Math.max(fromMs, toMs), 0];
  };
  for (const { minuteMs: startMs, rows: ofMinute } of minutes) {
    sum += ofMinute;
    if (rows > 0 && rows + ofMinute > rowsMax) end(startMs);
    const pieces = Math.ceil(ofMinute / rowsMax);
    for (let piece = 1; piece < pieces; piece += 1) end(startMs + Math.floor((minuteMs * piece) / pieces));
    rows += Math.ceil(ofMinute / Math.max(1, pieces));
  }
  end(query.toMs);
  return { ranges, rows: sum };
}

/** Reads the events of these ranges in the order in which they were decided. Reads ahead by one query. */
export async function* readInOrder(
  clickhouse: ClickHouseReader,
  ranges: readonly TimeRange[],
  tenantId: string | null,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly RecordedEvent[]> {
  const read = (range: TimeRange | undefined): Promise<RecordedEvent[]> =>
    range === undefined
      ? Promise.resolve([])
      : readRecordedEvents(clickhouse, { ...range, tenantId }, signal === undefined ? {} : { signal });
  let next = read(ranges[0]);
  let waiting: RecordedEvent[] = [];
  for (const [index, range] of ranges.entries()) {
    const events = await next;
    next = read(ranges[index + 1]);
    // A failure is thrown when the result is awaited; until then it must not count as unhandled.
    next.catch(() => undefined);
    const isLast = index === ranges.length - 1;
    const sorted = merged(waiting, events);
    const end = isLast ? sorted.length : firstFrom(sorted, range.toMs - orderMs);
    waiting = sorted.slice(end);
    yield sorted.slice(0, end);
  }
}

/** Both lists are sorted, and only the first events of the second can be earlier than the last of the first. */
function merged(earlier: RecordedEvent[], later: RecordedEvent[]): RecordedEvent[] {
  if (earlier.length === 0) return later;
  return [...earlier, ...later].sort((one, other) => one.decidedAtMs - other.decidedAtMs);
}

/** Index of the first event from the end on that was decided at `atMs` or later. */
function firstFrom(events: readonly RecordedEvent[], atMs: number): number {
  let end = events.length;
  while (end > 0 && (events[end - 1]?.decidedAtMs ?? 0) >= atMs) end -= 1;
  return end;
}
