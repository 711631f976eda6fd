import type { Admin } from 'kafkajs';
import { createAdminLine } from '../kafkajs/admin-queue.ts';
import type { Kafka } from '../kafkajs/kafka.ts';

/** How long one partition is, and how far a group has read it. */
export interface LogEnd {
  readonly partition: number;
  /** Offset the next record will get. */
  readonly end: number;
  /** Where the group reads on; where it has committed nothing, the first record there is. */
  readonly committed: number;
}

export interface LogEnds {
  /** Rejects when Kafka does not answer in time. */
  read(): Promise<readonly LogEnd[]>;
  close(): void;
}

/** Asks Kafka over a connection of its own, opened when needed and thrown away when it fails. */
export function createLogEnds(kafka: Kafka, topic: string, groupId: string): LogEnds {
  const line = createAdminLine(kafka);

  return {
    read: () => line.ask('reading offsets', kafka.requestTimeoutMs, readEnds),
    close: () => line.close(),
  };

  async function readEnds(admin: Admin): Promise<LogEnd[]> {
    // Committed first: the end is then never older than what was committed before it.
    const [places] = await admin.fetchOffsets({ groupId, topics: [topic] });
    const committed = new Map(places?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
    const ends = await admin.fetchTopicOffsets(topic);
    return ends.map(({ partition, low, high }) => ({
      partition,
      end: Number(high),
      committed: Math.max(committed.get(partition) ?? 0, Number(low)),
    }));
  }
}
