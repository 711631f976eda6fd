import { pino } from 'pino';
import { Registry } from 'prom-client';
import { onTestFinished } from 'vitest';
import { runConsumer } from '../../../shared/kafka/consumer/consumer.ts';
import type { Consumer, ConsumerOptions } from '../../../shared/kafka/consumer/consumer.ts';
import type { NewDeadLetter } from '../../../shared/domain/topics/dead-letter.ts';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import type { Producer } from '../../../shared/kafka/producer/producer.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';

export const silent = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' });

export function kafkaAt(brokers: string, requestTimeoutMs = 30_000): Kafka {
  return createKafka({
    brokers,
    clientId: 'test',
    logger: silent,
    requestTimeoutMs,
    connectionTimeoutMs: 10_000,
  });
}

/** The Kafka of this test run, with topics that no other test uses. */
export async function newTopics(partitions = 4): Promise<{ kafka: Kafka; topics: Topics }> {
  const kafka = kafkaAt(servers().kafkaBrokers);
  const topics = topicsWith(uniqueNamespace().topicPrefix);
  await ensureTopics(kafka, topics, { partitions });
  return { kafka, topics };
}

export function newProducer(kafka: Kafka, deliveryTimeoutMs = 60_000): Producer {
  const producer = createProducer(kafka, { registry: new Registry(), deliveryTimeoutMs });
  onTestFinished(() => producer.close(0));
  return producer;
}

export interface TestConsumer extends Consumer {
  readonly seen: ConsumedMessage[];
  /** Dead letters of this consumer, if the test passes no writer for them. */
  readonly letters: Omit<NewDeadLetter, 'atMs'>[];
  readonly registry: Registry;
}

/** A consumer that stores its records after `before` has resolved. */
export function newConsumer(
  kafka: Kafka,
  options: Omit<ConsumerOptions, 'onBatch' | 'registry' | 'onStalled' | 'deadLetters'> &
    Partial<Pick<ConsumerOptions, 'onStalled' | 'deadLetters'>> & {
      readonly before?: (messages: readonly ConsumedMessage[]) => Promise<void> | void;
    },
): TestConsumer {
  const seen: ConsumedMessage[] = [];
  const letters: Omit<NewDeadLetter, 'atMs'>[] = [];
  const registry = new Registry();
  const write = (given: readonly (typeof letters)[number][]): Promise<void> => {
    letters.push(...given);
    return Promise.resolve();
  };
  const consumer = runConsumer(kafka, {
    deadLetters: { write },
    onStalled: (error) => {
      throw error;
    },
    ...options,
    registry,
    async onBatch({ messages }) {
      await options.before?.(messages);
      seen.push(...messages);
    },
  });
  onTestFinished(() => consumer.close());
  return { ...consumer, seen, letters, registry };
}

export function textsOf(messages: readonly ConsumedMessage[]): string[] {
  return messages.map(({ value }) => value?.toString() ?? '').toSorted();
}

/** `prefix-0` … `prefix-(count - 1)`, sorted as `textsOf` sorts. */
export function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`).toSorted();
}

/**
 * Sum of a group's committed offsets over the partitions of the topic. A partition without a committed offset counts as
 * -1.
 */
export async function committedSum(kafka: Kafka, groupId: string, topic: string): Promise<number> {
  const connection = kafka.open();
  const admin = connection.client.admin();
  try {
    await admin.connect();
    const [offsets] = await admin.fetchOffsets({ groupId, topics: [topic] });
    return offsets?.partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0) ?? 0;
  } finally {
    await admin.disconnect();
  }
}
