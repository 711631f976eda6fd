import type { ClickHouse } from '../clickhouse/client.ts';
import { missingBetween, storedNumbers } from '../clickhouse/queries/number-gaps.ts';
import type { MissingRange } from '../clickhouse/queries/number-gaps.ts';
import { readDeadLetter } from '../domain/topics/dead-letter.ts';
import type { Kafka } from '../kafka/kafkajs/kafka.ts';
import { readOffsetsAt } from '../kafka/offsets/topic-offsets.ts';
import { readRange } from '../kafka/kafkajs/read-range.ts';
import type { OffsetRange } from '../kafka/kafkajs/read-range.ts';
import { readTopicEnds } from '../kafka/offsets/topic-offsets.ts';
import { explain, placeOf } from './explain.ts';
import type { Explanation } from './explain.ts';
import { readLogRecord, spoolNumberIn } from './log-record.ts';
import type { LogRecord, SpoolNumber } from './log-record.ts';
import type { Recreations } from './recreations.ts';

export interface OffsetFindings {
  readonly records: ReadonlyMap<LogRecord, Explanation>;
  /** Sequence numbers of `records` and of the dead letters: their events are already explained, or counted as lost. */
  readonly spoolNumbers: readonly SpoolNumber[];
  /** True when more records are missing than were read; the numbers of findings are then lower bounds. */
  readonly cut: boolean;
}

/** Largest number of records read from Kafka to explain missing offsets: at 600 bytes each, a few seconds. */
const recordsReadMax = 200_000;
const deadLettersReadMax = 20_000;
const recordsExplainedMax = 20_000;

/**
 * Checks that every record that the aggregator has committed has a row with its offset in ClickHouse, or a reason to have none.
 * Reads the records without a row from Kafka, and finds the reason for each.
 */
export async function auditOffsets(
  { kafka, clickhouse, topics }: OffsetSources,
  window: readonly OffsetRange[],
  recreations: Recreations,
  sinceMs: number,
): Promise<OffsetFindings> {
  const missing = await missingOffsets(clickhouse, window, recreations, sinceMs);
  const letters = await readDeadLetters(kafka, topics, sinceMs);
  const read = await readMissing(kafka, topics.usage, missing);
  const records = read.records.slice(0, recordsExplainedMax);
  const numbers = [...records.map(({ spoolNumber }) => spoolNumber), ...letters.spoolNumbers];
  return {
    records: await explain(clickhouse, records, letters.places),
    spoolNumbers: numbers.filter((number) => number !== null),
    cut: read.cut || letters.cut || records.length < read.records.length,
  };
}

export interface OffsetSources {
  readonly kafka: Kafka;
  readonly clickhouse: ClickHouse;
  readonly topics: { readonly usage: string; readonly deadLetters: string };
}

const dayMs = 86_400_000;

/**
 * Largest assumed difference between the clocks of a gateway, which sets the time of a record, and of the aggregator, which sets
 * the time of a row. Rows stored within this time before the first record of a topic count as rows of this topic. This may hide a
 * loss, but never reports a false loss.
 */
const clockSkewMs = 1_000;

/**
 * Searches the offsets in recent events first. For partitions with a missing offset it then searches all events, because an event
 * may be late.
 */
async function missingOffsets(
  clickhouse: ClickHouse,
  window: readonly OffsetRange[],
  recreations: Recreations,
  sinceMs: number,
): Promise<ReadonlyMap<number, readonly MissingRange[]>> {
  let missing: ReadonlyMap<number, readonly MissingRange[]> = new Map();
  let open = window.filter(({ from, to }) => from < to);
  for (const timeFromMs of [Math.max(0, sinceMs - dayMs), 0]) {
    if (open.length === 0) break;
    const found = await storedNumbers(clickhouse, {
      kind: 'offset',
      fromOffsets: new Map(open.map(({ partition, from }) => [partition, from])),
      storedFromMs: new Map([...recreations].map(([partition, atMs]) => [partition, atMs - clockSkewMs])),
      timeFromMs,
      series: open.map(({ partition }) => String(partition)),
      settledMs: 0,
    });
    const byPartition = new Map(found.map((numbers) => [Number(numbers.series), numbers]));
    missing = new Map(
      open.map(({ partition, from, to }) => [
        partition,
        missingBetween(byPartition.get(partition) ?? null, from, to - 1),
      ]),
    );
    open = open.filter(({ partition }) => (missing.get(partition)?.length ?? 0) > 0);
  }
  return missing;
}

async function readMissing(
  kafka: Kafka,
  topic: string,
  missing: ReadonlyMap<number, readonly MissingRange[]>,
): Promise<{ readonly records: readonly LogRecord[]; readonly cut: boolean }> {
  const ends = new Map((await readTopicEnds(kafka, topic)).map((end) => [end.partition, end]));
  const spans = [...missing].flatMap(([partition, ranges]) => {
    const from = Math.max(ranges[0]?.from ?? 0, ends.get(partition)?.low ?? 0);
    const to = Math.min((ranges.at(-1)?.to ?? -1) + 1, ends.get(partition)?.high ?? 0);
    return from < to ? [{ partition, from, to }] : [];
  });
  const spanMax = Math.floor(recordsReadMax / Math.max(spans.length, 1));
  const records: LogRecord[] = [];
  const isMissing = (partition: number, offset: number): boolean =>
    missing.get(partition)?.some(({ from, to }) => offset >= from && offset <= to) ?? false;
  await readRange(
    kafka,
    topic,
    spans.map((span) => ({ ...span, to: Math.min(span.to, span.from + spanMax) })),
    (message) => {
      if (isMissing(message.partition, message.offset)) records.push(readLogRecord(message));
    },
    { committedOnly: true },
  );
  return { records, cut: spans.some(({ from, to }) => to - from > spanMax) };
}

/**
 * Reads the partitions and offsets of the records that are dead letters, and the sequence numbers of events that the gateway
 * wrote to the dead-letter topic directly.
 */
async function readDeadLetters(
  kafka: Kafka,
  { usage, deadLetters: topic }: OffsetSources['topics'],
  sinceMs: number,
): Promise<{
  readonly places: ReadonlySet<string>;
  readonly spoolNumbers: readonly (SpoolNumber | null)[];
  readonly cut: boolean;
}> {
  const from = await readOffsetsAt(kafka, topic, sinceMs);
  const ends = await readTopicEnds(kafka, topic);
  const places = new Set<string>();
  const spoolNumbers: (SpoolNumber | null)[] = [];
  const ranges = ends.map(({ partition, high }) => ({
    partition,
    from: Math.max(Math.min(from.get(partition) ?? high, high), high - deadLettersReadMax),
    to: high,
  }));
  await readRange(kafka, topic, ranges, (message) => {
    const { topic: origin, partition, offset, lastOffset, value } = readDeadLetter(message);
    if (origin !== usage) return;
    spoolNumbers.push(spoolNumberIn(value));
    if (partition === null || offset === null) return;
    // A Kafka batch that cannot be decoded has one dead letter for all of its offsets.
    const last = Math.min(lastOffset ?? offset, offset + recordsReadMax);
    for (let each = offset; each <= last; each += 1) places.add(placeOf({ partition, offset: each }));
  });
  return { places, spoolNumbers, cut: ranges.some((range) => range.from > (from.get(range.partition) ?? 0)) };
}
