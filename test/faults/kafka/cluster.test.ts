import fc from 'fast-check';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { committedSum, kafkaAt, newConsumer, textsOf } from '../../integration/kafka/connection.ts';
import type { KafkaCluster } from './cluster.ts';
import { startCluster } from './cluster.ts';

const long = process.env['TOLLGATE_FAULTS'] === 'long';
const partitions = 6;
/** The seed is printed if the test fails; `TOLLGATE_SEED` repeats the same faults. */
const seed = Number(process.env['TOLLGATE_SEED'] ?? Date.now() % 1_000_000);

let cluster: KafkaCluster;
let kafka: Kafka;
beforeAll(async () => {
  cluster = await startCluster();
  kafka = kafkaAt(cluster.brokers, 2_000);
});
afterAll(() => cluster.dispose());

async function newTopic(): Promise<string> {
  const topic = uniqueName('usage');
  await cluster.createTopic(topic, partitions);
  return topic;
}

/** More records than partitions, so that every send writes to all partition leaders. */
function recordsOf(prefix: string): { key: string; value: string }[] {
  return Array.from({ length: partitions * 4 }, (_, index) => ({
    key: `tenant-${index}`,
    value: `${prefix}-${index}`,
  }));
}

/** Reads the topic to its end and returns every value. */
async function readAll(topic: string): Promise<Set<string>> {
  const quickly = { stalledAfterMs: 1_200, onStalled: () => undefined };
  const consumer = newConsumer(kafka, { topic, groupId: uniqueName('reader'), ...quickly });
  await eventually(() => consumer.lag()?.messages === 0, { timeoutMs: 30_000 });
  return new Set(textsOf(consumer.seen));
}

describe('a leader moves between two sends', () => {
  test('kafkajs alone resolves a send although the records of a partition are lost (negative control)', async () => {
    const topic = await newTopic();
    const raw = kafka.open();
    const producer = raw.client.producer({
      idempotent: true,
      retry: { retries: 10 },
    });
    await producer.connect();
    onTestFinished(() => raw.destroy());
    const messages = (round: number) => recordsOf(`round-${round}`);
    await producer.send({ topic, messages: messages(0) });
    let resolved = 1;
    for (let round = 1; round <= 4; round += 1) {
      await cluster.moveLeader(topic, round % partitions);
      await producer.send({ topic, messages: messages(round) });
      resolved += 1;
    }
    expect((await readAll(topic)).size).toBeLessThan(resolved * messages(0).length);
  });

  test('every acknowledged record is in Kafka, and skipped partitions are counted as unverified', async () => {
    const topic = await newTopic();
    const registry = new Registry();
    const producer = createProducer(kafka, { registry, deliveryTimeoutMs: 20_000 });
    onTestFinished(() => producer.close(0));
    const sent: string[] = [];
    for (let round = 0; round <= (long ? 100 : 4); round += 1) {
      if (round > 0) await cluster.moveLeader(topic, round % partitions);
      const records = recordsOf(`round-${round}`);
      const places = await producer.send(topic, records);
      expect(places.every(({ offset }) => offset >= 0)).toBe(true);
      sent.push(...records.map(({ value }) => value));
    }
    expect([...(await readAll(topic))].toSorted()).toEqual(sent.toSorted());
    expect(await registry.metrics()).toMatch(/kind="unverified"\} [1-9]/);
  });
});

describe('brokers fail while a producer sends and a consumer reads', () => {
  const faults = ['kill', 'pause', 'move'] as const;

  test(
    `every acknowledged record is read and committed (seed ${seed})`,
    async () => {
      const topic = await newTopic();
      const producer = createProducer(kafka, { registry: new Registry(), deliveryTimeoutMs: 60_000 });
      onTestFinished(() => producer.close(0));
      const groupId = uniqueName('group');
      const slowly = async (): Promise<void> => briefly(20);
      const consumers = [1, 2].map(() =>
        newConsumer(kafka, { topic, groupId, sessionTimeoutMs: 6_000, before: slowly }),
      );
      const sent: string[] = [];
      const ending = new AbortController();
      const load = (async () => {
        for (let round = 0; !ending.signal.aborted; round += 1) {
          const records = recordsOf(`round-${round}`);
          await producer.send(topic, records);
          sent.push(...records.map(({ value }) => value));
          await briefly(10);
        }
      })();
      const plan = fc.sample(fc.tuple(fc.constantFrom(...faults), fc.integer({ min: 1, max: 3 })), {
        numRuns: long ? 30 : 0,
        seed,
      });
      for (const [fault, node] of long
        ? plan
        : ([
            ['kill', 2],
            ['pause', 3],
            ['move', 1],
          ] as const)) {
        await suffer(fault, node, topic);
      }
      // While a stopped replica still counts as in sync, Kafka acknowledges no record. Afterwards the producer must
      // recover and continue.
      await eventually(() => sent.length > 1_000, { timeoutMs: 60_000 });
      ending.abort();
      await load;
      const seen = (): Set<string> => new Set(consumers.flatMap((consumer) => textsOf(consumer.seen)));
      await eventually(() => seen().size === sent.length, { timeoutMs: 60_000, intervalMs: 200 });
      expect([...seen()].toSorted()).toEqual(sent.toSorted());
      await eventually(async () => (await committedSum(kafka, groupId, topic)) >= sent.length, {
        timeoutMs: 30_000,
      });
    },
    long ? 600_000 : 180_000,
  );

  async function suffer(fault: (typeof faults)[number], node: number, topic: string): Promise<void> {
    if (fault === 'move') {
      await cluster.moveLeader(topic, node);
    } else if (fault === 'kill') {
      await cluster.kill(node);
      await briefly(2_000);
      await cluster.restart(node);
    } else {
      cluster.pause(node);
      await briefly(5_000);
      cluster.resume(node);
    }
    await briefly(1_000);
  }
});

function briefly(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
