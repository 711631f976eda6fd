import { Registry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { partitionOf } from '../../../shared/kafka/kafkajs/partition.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { eventually, servers, uniqueName, uniqueNamespace } from '../../support/servers.ts';
import { kafkaAt, newConsumer, newProducer, newTopics, numbered, textsOf } from './connection.ts';

test('send returns the place of each record, where a consumer reads it', async () => {
  const { kafka, topics } = await newTopics();
  const producer = newProducer(kafka);
  const records = numbered('event', 200).map((value, index) => ({ key: `tenant-${index % 17}`, value }));
  const places = await producer.send(topics.usage, records);
  const consumer = newConsumer(kafka, { topic: topics.usage, groupId: uniqueName('group') });
  await eventually(() => consumer.seen.length === 200);
  for (const { partition, offset, value, key } of consumer.seen) {
    const index = records.findIndex((record) => record.value === value?.toString());
    expect({ partition, offset, key }).toEqual({ ...places[index], key: records[index]?.key });
  }
});

test('a key selects the same partition as the default partitioner of other clients', async () => {
  const { kafka, topics } = await newTopics(12);
  const places = await newProducer(kafka).send(
    topics.usage,
    numbered('tenant', 50).map((key) => ({ key, value: 'x' })),
  );
  expect(places.map(({ partition }) => partition)).toEqual(
    numbered('tenant', 50).map((key) => partitionOf(key, 12)),
  );
});

test('records without a key are spread over all partitions', async () => {
  const { kafka, topics } = await newTopics(4);
  const places = await newProducer(kafka).send(
    topics.usage,
    numbered('event', 40).map((value) => ({ key: null, value })),
  );
  const counts = Map.groupBy(places, ({ partition }) => partition);
  expect([...counts.values()].map((group) => group.length)).toEqual([10, 10, 10, 10]);
});

test('concurrent sends run one after the other, and all records arrive in order within a key', async () => {
  const { kafka, topics } = await newTopics();
  const producer = newProducer(kafka);
  await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      producer.send(topics.usage, [{ key: 'acme', value: `${index}` }]),
    ),
  );
  const consumer = newConsumer(kafka, { topic: topics.usage, groupId: uniqueName('group') });
  await eventually(() => consumer.seen.length === 100);
  expect(consumer.seen.map(({ value }) => Number(value?.toString()))).toEqual(
    Array.from({ length: 100 }, (_, index) => index),
  );
});

test('a record that is too large is refused at once, and the next send works', async () => {
  const { kafka, topics } = await newTopics();
  const producer = newProducer(kafka);
  await producer.send(topics.usage, [{ key: 'acme', value: 'first' }]);
  const giant = { key: 'acme', value: Buffer.alloc(2_000_000, 1) };
  await expect(producer.send(topics.usage, [{ key: 'b', value: 'with it' }, giant])).rejects.toMatchObject({
    code: 'KAFKA_RECORD_REFUSED',
  });
  await producer.send(topics.usage, [{ key: 'acme', value: 'second' }]);
  const consumer = newConsumer(kafka, { topic: topics.usage, groupId: uniqueName('group') });
  await eventually(() => textsOf(consumer.seen).includes('second'));
  expect(textsOf(consumer.seen)).toContain('first');
});

test('a topic that does not exist is KAFKA_UNAVAILABLE after the delivery timeout, and is not created', async () => {
  const { kafka, topics } = await newTopics();
  const producer = newProducer(kafka, 1_500);
  const send = producer.send(`${topics.usage}.missing`, [{ key: 'a', value: 'x' }]);
  await expect(send).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE' });
});

test('a record that is sent again after a failed attempt has the headers for that, and the next record has not', async () => {
  const kafka = kafkaAt(servers().kafkaBrokers);
  const topics = topicsWith(uniqueNamespace().topicPrefix);
  const registry = new Registry();
  const producer = createProducer(kafka, { registry, resentHeaders: { again: '1' } });
  onTestFinished(() => producer.close(0));
  const sent = producer.send(topics.usage, [{ key: 'acme', value: 'first', headers: { own: '2' } }]);
  // The attempts fail until the topic exists.
  await eventually(async () =>
    /tollgate_kafka_produce_failures_total\{[^}]*} [1-9]/.test(await registry.metrics()),
  );
  await ensureTopics(kafka, topics, { partitions: 1 });
  await sent;
  await producer.send(topics.usage, [{ key: 'acme', value: 'second' }]);
  const consumer = newConsumer(kafka, { topic: topics.usage, groupId: uniqueName('group') });
  await eventually(() => consumer.seen.length === 2);
  expect(consumer.seen.map(({ headers }) => headers)).toEqual([{ own: '2', again: '1' }, {}]);
});

test('no Kafka at the address is KAFKA_UNAVAILABLE after the delivery timeout', async () => {
  const producer = newProducer(kafkaAt('127.0.0.1:1'), 1_000);
  await expect(producer.send('any', [{ key: 'a', value: 'x' }])).rejects.toMatchObject({
    code: 'KAFKA_UNAVAILABLE',
  });
});

test('waiting sends are bounded: one more is refused', async () => {
  const producer = createProducer(kafkaAt('127.0.0.1:1'), {
    registry: new Registry(),
    deliveryTimeoutMs: 300,
    waitingMax: 2,
  });
  const sends = Array.from({ length: 3 }, () => producer.send('any', [{ key: 'a', value: 'x' }]));
  const started = Promise.allSettled(sends);
  await expect(producer.send('any', [{ key: 'a', value: 'x' }])).rejects.toThrow('2 sends wait already');
  await producer.close(0);
  expect((await started).every(({ status }) => status === 'rejected')).toBe(true);
});
