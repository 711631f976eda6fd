import type { Kafka } from '../kafkajs/kafka.ts';
import { readRange } from '../kafkajs/read-range.ts';
import type { OffsetRange } from '../kafkajs/read-range.ts';
import { createLogEnds, readOffsetsAt, readTopicEnds } from './topic-offsets.ts';

/**
 * The records of one partition that the group has committed, on the topic that exists now (a topic may be deleted and
 * created again).
 */
export interface ConsumedRange extends OffsetRange {
  /**
   * Timestamp of the record at offset 0; 0 if Kafka has deleted that record. If the partition never had a record, a
   * time later than any other.
   */
  readonly bornMs: number;
}

/**
 * Returns a range for each partition: from the first record since `sinceMs` that Kafka still has, to the offset that
 * the group has committed. Rejects when Kafka does not respond in time.
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
      // If the topic was deleted and created again, an offset that the group committed before may be beyond the end of
      // the topic.
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

/** Reads the timestamp of the first record of each partition that retention has not shortened yet. */
async function readBirths(kafka: Kafka, topic: string): Promise<ReadonlyMap<number, number>> {
  const young = (await readTopicEnds(kafka, topic)).filter(({ low }) => low === 0);
  const births = new Map(young.filter(({ high }) => high === 0).map(({ partition }) => [partition, neverMs]));
  const first = young.flatMap(({ partition, high }) => (high > 0 ? [{ partition, from: 0, to: 1 }] : []));
  await readRange(kafka, topic, first, ({ partition, offset, timestampMs }) => {
    if (offset === 0 && timestampMs !== null) births.set(partition, timestampMs);
  });
  return births;
}
