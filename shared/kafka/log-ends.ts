import type { Admin } from 'kafkajs';
import { within } from './deadline.ts';
import type { Kafka, KafkaConnection } from './kafka.ts';

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
  let open: { connection: KafkaConnection; admin: Admin } | null = null;

  return {
    async read() {
      try {
        const { admin } = (open ??= await connect());
        return await within(kafka.requestTimeoutMs, 'reading offsets', readEnds(admin));
      } catch (error) {
        close();
        throw error;
      }
    },
    close,
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

  async function connect(): Promise<{ connection: KafkaConnection; admin: Admin }> {
    const connection = kafka.open();
    const admin = connection.client.admin();
    try {
      await within(kafka.requestTimeoutMs, 'connecting', admin.connect());
    } catch (error) {
      connection.destroy();
      throw error;
    }
    return { connection, admin };
  }

  function close(): void {
    open?.connection.destroy();
    open = null;
  }
}
