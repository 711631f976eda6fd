import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { startPublisher } from '../../../services/gateway/metering/publish.ts';
import { openSpool } from '../../../services/gateway/spool/spool.ts';
import type { Spool } from '../../../services/gateway/spool/spool.ts';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { kafkaAt, newConsumer, silent } from '../../integration/kafka/connection.ts';
import { eventually, startKafka, uniqueName, uniqueNamespace } from '../../support/servers.ts';
import { eventOf, metricOf } from '../../unit/spool/folder.ts';

const long = process.env['TOLLGATE_FAULTS'] === 'long';
/** Shorter than every timeout of the calls to Kafka, so that an append that waited for Kafka would exceed it. */
const appendMsMax = 1_000;

let server: Awaited<ReturnType<typeof startKafka>>;
let kafka: Kafka;
beforeAll(async () => {
  server = await startKafka();
  kafka = kafkaAt(server.brokers, 1_500);
});
afterAll(() => server.dispose());

async function newGateway() {
  const directory = mkdtempSync(join(tmpdir(), 'tollgate-spool-'));
  const registry = new Registry();
  const topics = topicsWith(uniqueNamespace().topicPrefix);
  await ensureTopics(kafka, topics, { partitions: 4 });
  const clock = { now: () => Date.now() };
  const spool = await openSpool({ directory, clock, registry, logger: silent });
  const publisher = startPublisher({ kafka, topics, spool, clock, registry, logger: silent });
  onTestFinished(async () => {
    await publisher.close(0);
    await spool.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return { topics, spool, registry };
}

/** Appends about 1,000 events a second until `signal`. Returns their number and the longest duration of one round of appends. */
async function load(spool: Spool, signal: AbortSignal): Promise<{ appended: number; slowestMs: number }> {
  let slowestMs = 0;
  let appended = 0;
  while (!signal.aborted) {
    const startedAt = performance.now();
    for (let index = 0; index < 5; index += 1)
      appended = spool.append(eventOf(`tenant-${index}`, 'x'.repeat(300)));
    await spool.flushed();
    slowestMs = Math.max(slowestMs, performance.now() - startedAt);
    await briefly(5);
  }
  return { appended, slowestMs };
}

const troubles = {
  'silent (its process stands still)': async () => {
    server.pause();
    await briefly(long ? 20_000 : 4_000);
    server.resume();
  },
  'refusing (killed and started again)': async () => {
    await server.kill();
    await briefly(long ? 20_000 : 1_000);
    await server.restart();
  },
};

test.each(Object.entries(troubles))(
  'while Kafka is %s no append waits, and afterwards every event arrives',
  async (_name, trouble) => {
    const { topics, spool, registry } = await newGateway();
    const ending = new AbortController();
    const loading = load(spool, ending.signal);
    await briefly(500);
    await trouble();
    await eventually(async () => (await metricOf(registry, 'tollgate_spool_oldest_age_seconds')) < 0.5, {
      timeoutMs: 30_000,
    });
    ending.abort();
    const { appended, slowestMs } = await loading;
    const consumer = newConsumer(kafka, { topic: topics.usage, groupId: uniqueName('group') });
    const sequences = (): Set<number> =>
      new Set(
        consumer.seen.map(({ value }) => {
          return (JSON.parse(value?.toString() ?? '') as { data: { sequence: number } }).data.sequence;
        }),
      );
    await eventually(() => sequences().size === appended, { timeoutMs: 20_000, intervalMs: 200 });
    expect(Math.max(...sequences())).toBe(appended);
    expect(slowestMs).toBeLessThan(appendMsMax);
    expect(await metricOf(registry, 'tollgate_spool_dropped_total')).toBe(0);
  },
  long ? 180_000 : 60_000,
);

test('an event that Kafka refuses for good becomes a dead letter, and the events around it arrive', async () => {
  const { topics, spool } = await newGateway();
  for (const payload of ['before', 'x'.repeat(1_100_000), 'after']) spool.append(eventOf('acme', payload));
  const events = newConsumer(kafka, { topic: topics.usage, groupId: uniqueName('group') });
  const letters = newConsumer(kafka, { topic: topics.deadLetters, groupId: uniqueName('group') });
  await eventually(() => events.seen.length === 2 && letters.seen.length === 1, { timeoutMs: 20_000 });
  expect(letters.seen[0]?.headers['tollgate-reason']).toMatch(/more than Kafka accepts/);
  expect(letters.seen[0]?.headers['tollgate-topic']).toBe(topics.usage);
});

function briefly(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
