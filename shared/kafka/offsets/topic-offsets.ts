import { createAdminQueue } from '../kafkajs/admin-queue.ts';
import type { KafkaAdmin } from '../kafkajs/admin-queue.ts';
import type { Kafka } from '../kafkajs/kafka.ts';

export interface TopicEnd {
  readonly partition: number;
  /** Offset of the first record; equal to `high` when the partition has no record. */
  readonly low: number;
  /** Offset that the next record will get. */
  readonly high: number;
}

/**
 * Reads the first and the next offset of each partition over its own connection. Rejects when Kafka does not respond in
 * time.
 */
export function readTopicEnds(kafka: Kafka, topic: string): Promise<TopicEnd[]> {
  return callOnce(kafka, async (admin) =>
    (await admin.fetchTopicOffsets(topic)).map(({ partition, low, high }) => ({
      partition,
      low: Number(low),
      high: Number(high),
    })),
  );
}

/**
 * Reads for each partition the first offset at or after an instant. If all records are older, this is the end of the
 * partition.
 */
export function readOffsetsAt(
  kafka: Kafka,
  topic: string,
  atMs: number,
): Promise<ReadonlyMap<number, number>> {
  return callOnce(kafka, async (admin) => {
    const offsets = await admin.fetchTopicOffsetsByTimestamp(topic, atMs);
    return new Map(offsets.map(({ partition, offset }) => [partition, Number(offset)]));
  });
}

/** The end of one partition, with the offset that a consumer group has committed. */
export interface LogEnd {
  readonly partition: number;
  /** Offset that the next record will get. */
  readonly end: number;
  /**
   * Offset at which the group continues. If the group has committed nothing, this is the offset of the first record.
   */
  readonly committed: number;
}

export interface LogEnds {
  /** Rejects when Kafka does not respond in time. */
  read(): Promise<readonly LogEnd[]>;
  close(): void;
}

/**
 * Reads ends and committed offsets again and again over one connection. After a failure the connection is opened again.
 */
export function createLogEnds(kafka: Kafka, topic: string, groupId: string): LogEnds {
  const admin = createAdminQueue(kafka);

  return {
    read: () => admin.call('reading offsets', kafka.requestTimeoutMs, readEnds),
    close: () => admin.close(),
  };

  async function readEnds(client: KafkaAdmin): Promise<LogEnd[]> {
    // The committed offsets are read first, so that an end is never smaller than the committed offset of its partition.
    const [group] = await client.fetchOffsets({ groupId, topics: [topic] });
    const committed = new Map(group?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
    const ends = await client.fetchTopicOffsets(topic);
    return ends.map(({ partition, low, high }) => ({
      partition,
      end: Number(high),
      committed: Math.max(committed.get(partition) ?? 0, Number(low)),
    }));
  }
}

async function callOnce<Result>(
  kafka: Kafka,
  request: (admin: KafkaAdmin) => Promise<Result>,
): Promise<Result> {
  const admin = createAdminQueue(kafka);
  try {
    return await admin.call('reading offsets', kafka.requestTimeoutMs, request);
  } finally {
    admin.close();
  }
}
