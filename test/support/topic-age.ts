import type { Kafka } from '../../shared/kafka/kafkajs/kafka.ts';

/** Sends a record with an earlier timestamp. Rows that were stored after that time then count as rows of this topic. */
export async function ageTopic(kafka: Kafka, topic: string, atMs: number): Promise<void> {
  const connection = kafka.open();
  const producer = connection.client.producer();
  await producer.connect();
  await producer.send({ topic, messages: [{ value: null, partition: 0, timestamp: String(atMs) }] });
  await producer.disconnect();
  connection.destroy();
}
