import { expect, test, vi } from 'vitest';
import { eventually, uniqueName } from '../../support/servers.ts';
import { committedSum, newConsumer, newProducer, newTopics, numbered, textsOf } from './connection.ts';

test('a batch merges partitions, and is committed only after its handler resolved', async () => {
  const { kafka, topics } = await newTopics(8);
  const producer = newProducer(kafka);
  await producer.send(
    topics.usage,
    numbered('event', 400).map((value, index) => ({ key: `tenant-${index}`, value })),
  );
  const groupId = uniqueName('group');
  const { promise: held, resolve: letGo } = Promise.withResolvers<undefined>();
  const sizes: number[] = [];
  const consumer = newConsumer(kafka, {
    topic: topics.usage,
    groupId,
    lingerMs: 100,
    before: async (messages) => {
      sizes.push(messages.length);
      await held;
    },
  });
  await eventually(() => sizes.length > 0);
  expect(await committedSum(kafka, groupId, topics.usage)).toBe(0);
  letGo(undefined);
  await eventually(async () => (await committedSum(kafka, groupId, topics.usage)) === 400);
  expect(textsOf(consumer.seen)).toEqual(numbered('event', 400));
  expect(sizes.length).toBeLessThanOrEqual(3);
});

test('a batch whose handler fails comes again until it succeeds, and nothing is skipped', async () => {
  const { kafka, topics } = await newTopics();
  const producer = newProducer(kafka);
  let failures = 3;
  const consumer = newConsumer(kafka, {
    topic: topics.usage,
    groupId: uniqueName('group'),
    before: () => {
      if ((failures -= 1) >= 0) throw new Error('the store is away');
    },
  });
  await producer.send(
    topics.usage,
    numbered('event', 50).map((value) => ({ key: value, value })),
  );
  await eventually(() => consumer.seen.length >= 50);
  expect(textsOf(consumer.seen)).toEqual(numbered('event', 50));
});

test('a second consumer gets half the partitions during a slow handler of the first, and nothing is lost', async () => {
  const { kafka, topics } = await newTopics(6);
  const producer = newProducer(kafka);
  const groupId = uniqueName('group');
  const slowly = { topic: topics.usage, groupId, batchRecordsMax: 100, before: () => wait(100) };
  let sent = 0;
  /** Sends records until the consumer has processed at least one record. */
  const sendUntilSeenBy = ({ seen }: { readonly seen: readonly unknown[] }): Promise<unknown> => {
    const sendMore = async (): Promise<boolean> => {
      if (seen.length > 0) return true;
      await producer.send(
        topics.usage,
        numbered(`from-${sent}`, 60).map((value) => ({ key: value, value })),
      );
      sent += 60;
      return false;
    };
    return eventually(sendMore, { intervalMs: 50 });
  };
  const first = newConsumer(kafka, slowly);
  await sendUntilSeenBy(first);
  const second = newConsumer(kafka, slowly);
  await sendUntilSeenBy(second);
  await eventually(async () => (await committedSum(kafka, groupId, topics.usage)) === sent);
  expect(new Set([...textsOf(first.seen), ...textsOf(second.seen)]).size).toBe(sent);
  expect(first.seen.length).toBeGreaterThan(0);
  expect(second.seen.length).toBeGreaterThan(0);
});

test('after a consumer has closed, the next one continues at once from the committed offsets', async () => {
  const { kafka, topics } = await newTopics();
  const producer = newProducer(kafka);
  const groupId = uniqueName('group');
  await producer.send(topics.usage, [{ key: 'a', value: 'before' }]);
  const first = newConsumer(kafka, { topic: topics.usage, groupId });
  await eventually(async () => (await committedSum(kafka, groupId, topics.usage)) === 1);
  await first.close();
  await producer.send(topics.usage, [{ key: 'a', value: 'after' }]);
  const second = newConsumer(kafka, { topic: topics.usage, groupId });
  await eventually(() => second.seen.length > 0);
  expect(textsOf(second.seen)).toEqual(['after']);
});

test('the lag is read from Kafka, in records and in seconds', async () => {
  const { kafka, topics } = await newTopics();
  const producer = newProducer(kafka);
  const { promise: held, resolve: letGo } = Promise.withResolvers<undefined>();
  const consumer = newConsumer(kafka, {
    topic: topics.usage,
    groupId: uniqueName('group'),
    stalledAfterMs: 2_000,
    onStalled: () => undefined,
    before: async () => held,
  });
  await eventually(() => consumer.joined());
  await producer.send(
    topics.usage,
    numbered('event', 30).map((value) => ({ key: value, value })),
  );
  await eventually(() => consumer.lag()?.messages === 30);
  await eventually(() => (consumer.lag()?.seconds ?? 0) > 0.3);
  expect(await consumer.registry.metrics()).toMatch(/tollgate_kafka_lag_messages\{[^}]*\} 30/);
  letGo(undefined);
  await eventually(() => consumer.lag()?.messages === 0);
  expect(consumer.lag()?.seconds).toBe(0);
});

test('a handler that never ends is reported as KAFKA_STALLED', async () => {
  const { kafka, topics } = await newTopics();
  const onStalled = vi.fn<(error: Error) => void>();
  const { promise: held, resolve: letGo } = Promise.withResolvers<undefined>();
  newConsumer(kafka, {
    topic: topics.usage,
    groupId: uniqueName('group'),
    stalledAfterMs: 1_500,
    onStalled,
    before: () => held,
  });
  await newProducer(kafka).send(topics.usage, [{ key: 'a', value: 'x' }]);
  await eventually(() => onStalled.mock.calls.length === 1);
  expect(onStalled.mock.calls[0]?.[0]).toMatchObject({ code: 'KAFKA_STALLED' });
  letGo(undefined);
});

test('a handler that fails and is retried is no stall, and neither is an idle topic', async () => {
  const { kafka, topics } = await newTopics();
  const onStalled = vi.fn<(error: Error) => void>();
  const stalledAfterMs = 3_000;
  let attempts = 0;
  newConsumer(kafka, {
    topic: topics.usage,
    groupId: uniqueName('group'),
    stalledAfterMs,
    onStalled,
    before: () => {
      attempts += 1;
      throw new Error('the store is away');
    },
  });
  const idle = newConsumer(kafka, {
    topic: topics.alerts,
    groupId: uniqueName('group'),
    stalledAfterMs,
    onStalled,
  });
  const startedAt = performance.now();
  await newProducer(kafka).send(topics.usage, [{ key: 'a', value: 'x' }]);
  await eventually(
    () => attempts >= 5 && idle.lag() !== null && performance.now() - startedAt > 2 * stalledAfterMs,
  );
  expect(onStalled).not.toHaveBeenCalled();
});

test('headers, tombstones and absent keys arrive unchanged', async () => {
  const { kafka, topics } = await newTopics(1);
  await newProducer(kafka).send(topics.usage, [
    { key: null, value: 'no key' },
    { key: 'gone', value: null },
    { key: 'ü', value: 'text', headers: { reason: 'because' } },
  ]);
  const consumer = newConsumer(kafka, { topic: topics.usage, groupId: uniqueName('group') });
  await eventually(() => consumer.seen.length === 3);
  expect(consumer.seen.map(({ key, value, headers }) => [key, value?.toString() ?? null, headers])).toEqual([
    [null, 'no key', {}],
    ['gone', null, {}],
    ['ü', 'text', { reason: 'because' }],
  ]);
});

function wait(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  setTimeout(() => resolve(undefined), ms);
  return promise;
}
