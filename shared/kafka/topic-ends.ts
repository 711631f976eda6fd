import { within } from './deadline.ts';
import type { Kafka } from './kafka.ts';

export interface TopicEnd {
  readonly partition: number;
  /** Offset of the first record there is; equal to `high` when there is none. */
  readonly low: number;
  /** Offset the next record will get. */
  readonly high: number;
}

/** Asks once, over a connection of its own. Rejects when Kafka does not answer in time. */
export async function readTopicEnds(kafka: Kafka, topic: string): Promise<TopicEnd[]> {
  const connection = kafka.open();
  const admin = connection.client.admin();
  try {
    await within(kafka.requestTimeoutMs, 'connecting', admin.connect());
    const ends = await within(kafka.requestTimeoutMs, 'reading offsets', admin.fetchTopicOffsets(topic));
    return ends.map(({ partition, low, high }) => ({ partition, low: Number(low), high: Number(high) }));
  } finally {
    await within(1_000, 'disconnecting', admin.disconnect()).catch(() => undefined);
    connection.destroy();
  }
}
