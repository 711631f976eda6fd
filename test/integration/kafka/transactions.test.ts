// Goal: records of an aborted transaction are never handled, and an open transaction delays only its own records.
// Method: real transactional producers, on one partition with records of other producers between theirs.
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createLogEnds } from '../../../shared/kafka/offsets/topic-offsets.ts';
import { readRange } from '../../../shared/kafka/kafkajs/read-range.ts';
import { readTopicEnds } from '../../../shared/kafka/offsets/topic-offsets.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { committedSum, newConsumer, newProducer, newTopics } from './connection.ts';

interface Transaction {
  send(...values: string[]): Promise<void>;
  commit(): Promise<void>;
  abort(): Promise<void>;
}

async function beginTransaction(kafka: Kafka, topic: string): Promise<Transaction> {
  const connection = kafka.open();
  const producer = connection.client.producer({
    transactionalId: uniqueName('transaction'),
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await producer.connect();
  onTestFinished(async () => {
    await producer.disconnect();
    connection.destroy();
  });
  const transaction = await producer.transaction();
  return {
    async send(...values) {
      await transaction.send({
        topic,
        messages: values.map((value) => ({ key: 'other', value, partition: 0 })),
      });
    },
    commit: () => transaction.commit(),
    abort: () => transaction.abort(),
  };
}

/** A topic with one partition, and a function that writes to it without a transaction. */
async function onePartition() {
  const { kafka, topics } = await newTopics(1);
  const producer = newProducer(kafka);
  const plain = async (value: string): Promise<void> => {
    await producer.send(topics.usage, [{ key: 'acme', value }]);
  };
  const begin = (): Promise<Transaction> => beginTransaction(kafka, topics.usage);
  return { kafka, topic: topics.usage, plain, begin };
}

test('records behind an open transaction are handled at once, its own after the commit, and none of an aborted one', async () => {
  const { kafka, topic, plain, begin } = await onePartition();
  const groupId = uniqueName('group');
  const consumer = newConsumer(kafka, { topic, groupId });
  const [committed, aborted] = [await begin(), await begin()];
  await plain('before');
  await committed.send('kept 1', 'kept 2');
  await aborted.send('dropped 1', 'dropped 2');
  await plain('between');
  await eventually(() => consumer.seen.length === 2);
  expect(consumer.seen.map(({ value }) => value?.toString())).toEqual(['before', 'between']);
  await aborted.abort();
  await committed.commit();
  // The broker writes the transaction marker a moment after it acknowledges the commit.
  await eventually(() => consumer.seen.length === 4);
  await plain('after');
  await eventually(() => consumer.seen.length === 5);
  expect(consumer.seen.map(({ value }) => value?.toString())).toEqual([
    'before',
    'between',
    'kept 1',
    'kept 2',
    'after',
  ]);
  // Transaction markers also have offsets, and here no record follows them.
  await eventually(
    async () => (await readTopicEnds(kafka, topic))[0]?.high === (await committedSum(kafka, groupId, topic)),
  );
});

test('held records are fetched again after a restart, and handled after the commit of their transaction', async () => {
  const { kafka, topic, plain, begin } = await onePartition();
  const groupId = uniqueName('group');
  const first = newConsumer(kafka, { topic, groupId });
  const transaction = await begin();
  await plain('before');
  await transaction.send('kept');
  await plain('behind');
  await eventually(() => first.seen.length === 2);
  await eventually(async () => (await committedSum(kafka, groupId, topic)) === 1);
  await first.close();
  const second = newConsumer(kafka, { topic, groupId });
  await eventually(() => second.seen.length === 1);
  await transaction.commit();
  await eventually(() => second.seen.length === 2);
  expect(second.seen.map(({ value }) => value?.toString())).toEqual(['behind', 'kept']);
});

test('a transaction that stays open is no stall, and the end of the log includes it', async () => {
  const { kafka, topic, plain, begin } = await onePartition();
  const groupId = uniqueName('group');
  const onStalled = vi.fn<(error: Error) => void>();
  const consumer = newConsumer(kafka, { topic, groupId, stalledAfterMs: 3_000, onStalled });
  const transaction = await begin();
  await transaction.send('open');
  await plain('behind');
  await eventually(() => consumer.seen.length === 1);
  await eventually(() => consumer.lag()?.messages === 2);
  const heldAt = performance.now();
  await eventually(() => performance.now() - heldAt > 6_500);
  expect(onStalled).not.toHaveBeenCalled();
  const ends = createLogEnds(kafka, topic, groupId);
  await eventually(async () => {
    expect(await ends.read()).toEqual([{ partition: 0, end: 2, committed: 0 }]);
    return true;
  });
  ends.close();
});

test('a range that ends in markers and aborted records is read to its end', async () => {
  const { kafka, topic, plain, begin } = await onePartition();
  const [committed, aborted] = [await begin(), await begin()];
  await plain('before');
  await committed.send('kept');
  await aborted.send('dropped 1', 'dropped 2');
  await committed.commit();
  await aborted.abort();
  const range = { partition: 0, from: 0, to: 6 };
  await eventually(async () => (await readTopicEnds(kafka, topic))[0]?.high === range.to);
  const read = async (options: { committedOnly?: boolean }): Promise<(string | undefined)[]> => {
    const values: (string | undefined)[] = [];
    await readRange(kafka, topic, [range], ({ value }) => values.push(value?.toString()), options);
    return values;
  };
  expect(await read({ committedOnly: true })).toEqual(['before', 'kept']);
  expect(await read({})).toEqual(['before', 'kept', 'dropped 1', 'dropped 2']);
});
