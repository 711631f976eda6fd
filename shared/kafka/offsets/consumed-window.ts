import { createAdminLine } from '../kafkajs/admin-queue.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import { createLogEnds } from './log-ends.ts';
import { readRange } from '../kafkajs/read-range.ts';
import type { OffsetRange } from '../kafkajs/read-range.ts';
import { readTopicEnds } from './topic-ends.ts';

/** What one partition took and the group committed, of the topic as it is now. */
export interface ConsumedRange extends OffsetRange {
  /** When its first record was made, where the topic still holds offset 0, else 0; beyond any time where it holds none. */
  readonly bornMs: number;
}

/**
 * Of each partition what Kafka took since `sinceMs` (as far as it still has it) and the group has committed: from the
 * first such record to where the group reads on. Rejects when Kafka does not answer in time.
 */
export async function readConsumedWindow(
  kafka: Kafka,
  { topic, groupId, sinceMs }: { readonly topic: string; readonly groupId: string; readonly sinceMs: number },
): Promise<ConsumedRange[]> {
  const logEnds = createLogEnds(kafka, topic, groupId);
  try {
    const [ends, from, born] = await Promise.all([
      logEnds.read(),
      readOffsetsAt(kafka, topic, sinceMs),
      readBirths(kafka, topic),
    ]);
    return ends.map(({ partition, committed, end }) => {
      // What the group committed of a deleted topic may be beyond the end of the one that has its name now.
      const to = Math.min(committed, end);
      return {
        partition,
        from: Math.min(from.get(partition) ?? to, to),
        to,
        bornMs: born.get(partition) ?? 0,
      };
    });
  } finally {
    logEnds.close();
  }
}

const neverMs = Date.UTC(2290, 0);

/** The timestamp of the first record of each partition that has lost none to its retention yet. */
async function readBirths(kafka: Kafka, topic: string): Promise<ReadonlyMap<number, number>> {
  const young = (await readTopicEnds(kafka, topic)).filter(({ low }) => low === 0);
  const births = new Map(young.filter(({ high }) => high === 0).map(({ partition }) => [partition, neverMs]));
  const first = young.flatMap(({ partition, high }) => (high > 0 ? [{ partition, from: 0, to: 1 }] : []));
  await readRange(kafka, topic, first, ({ partition, offset, timestampMs }) => {
    if (offset === 0 && timestampMs !== null) births.set(partition, timestampMs);
  });
  return births;
}

/** The first offset of each partition at or after an instant; its end where nothing came since. */
export async function readOffsetsAt(
  kafka: Kafka,
  topic: string,
  atMs: number,
): Promise<ReadonlyMap<number, number>> {
  const line = createAdminLine(kafka);
  try {
    const places = await line.ask('reading offsets', kafka.requestTimeoutMs, (admin) =>
      admin.fetchTopicOffsetsByTimestamp(topic, atMs),
    );
    return new Map(places.map(({ partition, offset }) => [partition, Number(offset)]));
  } finally {
    line.close();
  }
}
