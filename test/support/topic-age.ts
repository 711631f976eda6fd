import type { Kafka } from '../../shared/kafka/kafkajs/kafka.ts';

/** Sends a record of an earlier time, so that the topic is as old as it: rows stored since then are of this topic. */
export async function ageTopic(kafka: Kafka, topic: string, atMs: number): Promise<void> {
  const connection = kafka.open();
  const producer = connection.client.producer();
  await producer.connect();
  await producer.send({ topic, messages: [{ value: null, partition: 0, timestamp: String(atMs) }] });
  await producer.disconnect();
  connection.destroy();
}
