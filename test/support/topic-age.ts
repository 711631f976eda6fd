import type { Kafka } from '../../shared/kafka/kafkajs/kafka.ts';

/**
 * Sends a record with an earlier timestamp, so that the topic seems as old as that. Events that were stored in
 * ClickHouse after that time then count as events of this topic, and not of a topic that existed before it.
 */
export async function ageTopic(kafka: Kafka, topic: string, atMs: number): Promise<void> {
  const connection = kafka.open();
  const producer = connection.client.producer();
  await producer.connect();
  await producer.send({ topic, messages: [{ value: null, partition: 0, timestamp: String(atMs) }] });
  await producer.disconnect();
  connection.destroy();
}
