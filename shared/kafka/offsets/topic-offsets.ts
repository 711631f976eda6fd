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

/** Reads the offsets of each partition over a connection of its own. Rejects when Kafka does not respond in time. */
export function readTopicEnds(kafka: Kafka, topic: string): Promise<TopicEnd[]> {
  return callOnce(kafka, async (admin) =>
    (await admin.fetchTopicOffsets(topic)).map(({ partition, low, high }) => ({
      partition,
      low: Number(low),
      high: Number(high),
    })),
  );
}

/** Reads the first offset of each partition at or after an instant; the end where no record is that young. */
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

/** The end of one partition, and the offset that a consumer group has committed. */
export interface LogEnd {
  readonly partition: number;
  /** Offset that the next record will get. */
  readonly end: number;
  /** Offset at which the group continues; the first record's where the group has committed nothing. */
  readonly committed: number;
}

export interface LogEnds {
  /** Rejects when Kafka does not respond in time. */
  read(): Promise<readonly LogEnd[]>;
  close(): void;
}

/** Reads ends and committed offsets repeatedly, over one connection that is opened again after a failure. */
export function createLogEnds(kafka: Kafka, topic: string, groupId: string): LogEnds {
  const admin = createAdminQueue(kafka);

  return {
    read: () => admin.call('reading offsets', kafka.requestTimeoutMs, readEnds),
    close: () => admin.close(),
  };

  async function readEnds(client: KafkaAdmin): Promise<LogEnd[]> {
    // The committed offsets are read first, so that an end is never older than an offset committed before it.
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
