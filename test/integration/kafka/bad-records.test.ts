// Goal: a record that cannot be decoded or handled becomes a dead letter, and the records around it are handled.
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { createDeadLetterWriter } from '../../../shared/kafka/dead-letters/writer.ts';
import { listDeadLetters } from '../../../shared/kafka/dead-letters/dead-letters.ts';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { TollgateError } from '../../../shared/runtime/errors.ts';
import { eventually, startKafka, uniqueName, uniqueNamespace } from '../../support/servers.ts';
import {
  committedSum,
  kafkaAt,
  newConsumer,
  newProducer,
  newTopics,
  numbered,
  silent,
  textsOf,
} from './connection.ts';

/** Writes exactly these records, without Tollgate's producer. */
async function writeForeign(
  kafka: Kafka,
  topic: string,
  messages: readonly { key?: string; value: string; headers?: Record<string, string> }[],
): Promise<void> {
  const connection = kafka.open();
  const producer = connection.client.producer();
  await producer.connect();
  await producer.send({ topic, messages: messages.map((message) => ({ partition: 0, ...message })) });
  await producer.disconnect();
  connection.destroy();
}

function writerFor(kafka: Kafka, topics: Topics, registry = new Registry()) {
  const producer = newProducer(kafka);
  return createDeadLetterWriter({ producer, topics, clock: systemClock, registry, logger: silent });
}

test('a header may have any name', async () => {
  const { kafka, topics } = await newTopics(1);
  const headers = { ['__proto__']: 'x', constructor: 'y' };
  await writeForeign(kafka, topics.usage, [{ value: 'with', headers }, { value: 'after' }]);
  const consumer = newConsumer(kafka, { topic: topics.usage, groupId: uniqueName('group') });
  await eventually(() => consumer.seen.length === 2);
  expect(Object.entries(consumer.seen[0]?.headers ?? {})).toEqual([
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ]);
});

test('a batch that a disk has damaged becomes a dead letter with its offsets, and the batches around it are handled', async () => {
  const server = await startKafka();
  onTestFinished(() => server.dispose());
  const kafka = kafkaAt(server.brokers);
  const topics = topicsWith(uniqueNamespace().topicPrefix);
  await ensureTopics(kafka, topics, { partitions: 1 });
  await writeForeign(kafka, topics.usage, [{ value: 'before' }]);
  await writeForeign(kafka, topics.usage, [{ value: 'damaged 1' }, { value: 'damaged 2' }]);
  await writeForeign(kafka, topics.usage, [{ value: 'after' }]);
  await damage(join(server.dir, 'log', `${topics.usage}-0`, `${'0'.repeat(20)}.log`), 'damaged 2');
  const groupId = uniqueName('group');
  const registry = new Registry();
  const deadLetters = writerFor(kafka, topics, registry);
  const consumer = newConsumer(kafka, { topic: topics.usage, groupId, deadLetters });
  await eventually(() => consumer.seen.length === 2);
  expect(textsOf(consumer.seen)).toEqual(['after', 'before']);
  await eventually(async () => (await committedSum(kafka, groupId, topics.usage)) === 4);
  const [letter] = await listDeadLetters(kafka, topics.deadLetters, { limit: 10 });
  expect(letter).toMatchObject({
    reason: 'a batch cannot be decoded: its checksum is wrong',
    topic: topics.usage,
    partition: 0,
    offset: 1,
    lastOffset: 2,
    holds: 'batch',
    tenantId: null,
  });
  expect(letter?.value.includes('damaged 1')).toBe(true);
  expect(await registry.metrics()).toContain(`tollgate_dead_letters_total{topic="${topics.usage}"} 1`);
});

/** Changes one byte of the log on disk while the broker runs. */
async function damage(path: string, text: string): Promise<void> {
  const at = (await readFile(path)).indexOf(text);
  expect(at).toBeGreaterThan(0);
  const file = await open(path, 'r+');
  await file.write(Buffer.from('D'), 0, 1, at);
  await file.close();
}

test.each([
  [
    'an error about a value',
    () => new TollgateError('REDIS_VALUE_REFUSED', 'too large'),
    'could not be handled: too large',
  ],
  [
    'an error of our own code',
    () => new TypeError('cannot read that'),
    'processing-failed: cannot read that',
  ],
])(
  'the record that makes a handler fail becomes a dead letter, and all others are handled: %s',
  async (_, fail, said) => {
    const { kafka, topics } = await newTopics(3);
    await newProducer(kafka).send(
      topics.usage,
      numbered('event', 200).map((value) => ({ key: `tenant-of-${value}`, value })),
    );
    const groupId = uniqueName('group');
    const consumer = newConsumer(kafka, {
      topic: topics.usage,
      groupId,
      lingerMs: 200,
      deadLetters: writerFor(kafka, topics),
      before(messages) {
        if (messages.some(isBad)) throw fail();
      },
    });
    await eventually(async () => (await committedSum(kafka, groupId, topics.usage)) === 200);
    expect(new Set(textsOf(consumer.seen))).toEqual(
      new Set(numbered('event', 200).filter((value) => value !== 'event-77')),
    );
    const letters = await listDeadLetters(kafka, topics.deadLetters, { limit: 10 });
    expect(letters).toMatchObject([
      {
        reason: said,
        topic: topics.usage,
        tenantId: 'tenant-of-event-77',
        group: groupId,
        key: 'tenant-of-event-77',
        value: Buffer.from('event-77'),
      },
    ]);
  },
);

function isBad({ value }: ConsumedMessage): boolean {
  return value?.toString() === 'event-77';
}

const outageCodes = [
  'CLICKHOUSE_UNAVAILABLE',
  'CLICKHOUSE_QUERY_FAILED',
  'REDIS_UNAVAILABLE',
  'KAFKA_UNAVAILABLE',
] as const;

// The outages are at the same time, because a consumer mostly waits between its attempts.
test('an outage is retried and never makes a dead letter', async () => {
  await Promise.all(outageCodes.map(expectRetried));
});

async function expectRetried(code: (typeof outageCodes)[number]): Promise<void> {
  const { kafka, topics } = await newTopics(1);
  await newProducer(kafka).send(
    topics.usage,
    numbered('event', 20).map((value) => ({ key: 'acme', value })),
  );
  let attempts = 0;
  const consumer = newConsumer(kafka, {
    topic: topics.usage,
    groupId: uniqueName('group'),
    before(messages) {
      attempts += 1;
      expect(messages).toHaveLength(20);
      if (attempts < 7) throw new TollgateError(code, 'away');
    },
  });
  await eventually(() => consumer.seen.length === 20);
  expect(consumer.letters, code).toEqual([]);
}

test('an outage during halving is retried without a dead letter', async () => {
  const { kafka, topics } = await newTopics(1);
  await newProducer(kafka).send(
    topics.usage,
    numbered('event', 100).map((value) => ({ key: 'acme', value })),
  );
  let outages = 3;
  const groupId = uniqueName('group');
  const consumer = newConsumer(kafka, {
    topic: topics.usage,
    groupId,
    lingerMs: 200,
    before(messages) {
      if (messages.length < 10 && (outages -= 1) >= 0) throw new TollgateError('REDIS_UNAVAILABLE', 'away');
      if (messages.some(isBad)) throw new TollgateError('REDIS_VALUE_REFUSED', 'bad');
    },
  });
  await eventually(async () => (await committedSum(kafka, groupId, topics.usage)) === 100);
  expect(consumer.letters.map(({ value }) => value.toString())).toEqual(['event-77']);
  expect(new Set(textsOf(consumer.seen)).size).toBe(99);
});

test('no offset is committed before its dead letter is written', async () => {
  const { kafka, topics } = await newTopics(1);
  await newProducer(kafka).send(topics.usage, [{ key: 'acme', value: 'event-77' }]);
  const groupId = uniqueName('group');
  const committed: number[] = [];
  let written = 0;
  newConsumer(kafka, {
    topic: topics.usage,
    groupId,
    before() {
      throw new TollgateError('REDIS_VALUE_REFUSED', 'bad');
    },
    deadLetters: {
      async write(letters) {
        committed.push(await committedSum(kafka, groupId, topics.usage));
        if (committed.length < 4) throw new TollgateError('KAFKA_UNAVAILABLE', 'away');
        written += letters.length;
      },
    },
  });
  await eventually(async () => (await committedSum(kafka, groupId, topics.usage)) === 1);
  expect([written, committed]).toEqual([1, [0, 0, 0, 0]]);
});
