import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { eventually } from '../../support/servers.ts';

/**
 * Deletes a topic with all its records and creates it again with the same name, so that its offsets start at 0 again.
 */
export async function recreateTopic(kafka: Kafka, topic: string, partitions: number): Promise<void> {
  const connection = kafka.open();
  const admin = connection.client.admin();
  try {
    await admin.connect();
    await admin.deleteTopics({ topics: [topic] });
    await eventually(
      () => admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor: 1 }] }),
      { timeoutMs: 30_000, intervalMs: 100 },
    );
  } finally {
    connection.destroy();
  }
}
