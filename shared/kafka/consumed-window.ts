import { createAdminLine } from './admin-line.ts';
import type { Kafka } from './kafka.ts';
import { createLogEnds } from './log-ends.ts';
import type { OffsetRange } from './read-range.ts';

/**
 * Of each partition what Kafka took since `sinceMs` (as far as it still has it) and the group has committed: from the
 * first such record to where the group reads on. Rejects when Kafka does not answer in time.
 */
export async function readConsumedWindow(
  kafka: Kafka,
  { topic, groupId, sinceMs }: { readonly topic: string; readonly groupId: string; readonly sinceMs: number },
): Promise<OffsetRange[]> {
  const logEnds = createLogEnds(kafka, topic, groupId);
  try {
    const [ends, from] = await Promise.all([logEnds.read(), readOffsetsAt(kafka, topic, sinceMs)]);
    return ends.map(({ partition, committed }) => ({
      partition,
      from: Math.min(from.get(partition) ?? committed, committed),
      to: committed,
    }));
  } finally {
    logEnds.close();
  }
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
