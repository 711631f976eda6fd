import type { Kafka } from '../../shared/kafka/kafkajs/kafka.ts';

/**
 * Sends a record with an earlier timestamp, so that the topic seems to exist since that time. Events that were
 * stored in ClickHouse later then count as events of this topic, not of an earlier topic with the same name.
 */
export async function ageTopic(kafka: Kafka, topic: string, atMs: number): Promise<void> {
  const connection = kafka.open();
  const producer = connection.client.producer();
  await producer.connect();
  await producer.send({ topic, messages: [{ value: null, partition: 0, timestamp: String(atMs) }] });
  await producer.disconnect();
  connection.destroy();
}
