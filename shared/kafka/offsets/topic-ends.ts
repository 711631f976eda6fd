import { createAdminLine } from '../kafkajs/admin-queue.ts';
import type { Kafka } from '../kafkajs/kafka.ts';

export interface TopicEnd {
  readonly partition: number;
  /** Offset of the first record there is; equal to `high` when there is none. */
  readonly low: number;
  /** Offset the next record will get. */
  readonly high: number;
}

/** Asks once, over a connection of its own. Rejects when Kafka does not answer in time. */
export async function readTopicEnds(kafka: Kafka, topic: string): Promise<TopicEnd[]> {
  const line = createAdminLine(kafka);
  try {
    const ends = await line.ask('reading offsets', kafka.requestTimeoutMs, (admin) =>
      admin.fetchTopicOffsets(topic),
    );
    return ends.map(({ partition, low, high }) => ({ partition, low: Number(low), high: Number(high) }));
  } finally {
    line.close();
  }
}
