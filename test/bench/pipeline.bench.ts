import { startClickHouseServer } from '../../dev/servers/clickhouse.ts';
import { freePort } from '../../dev/servers/free-port.ts';
import { startKafkaServer } from '../../dev/servers/kafka.ts';
import { decodeBoundsDefault } from '../../services/aggregator/decode.ts';
import { runAggregator } from '../../services/aggregator/service.ts';
import { createClickHouse } from '../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { migrate } from '../../shared/clickhouse/migrate.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { createKafka } from '../../shared/kafka/kafka.ts';
import type { Kafka } from '../../shared/kafka/kafka.ts';
import { createProducer } from '../../shared/kafka/producer.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import { createLifecycle } from '../../shared/runtime/lifecycle.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import { createRegistry } from '../../shared/runtime/ops.ts';
import { requestEvent } from '../integration/aggregator/events.ts';
import { table } from './bench.ts';
import type { Bench, BenchOptions } from './bench.ts';

const logger = createLogger('bench', 'silent');
const topics = topicsWith('bench.');
const database = 'bench';
const tenants = 1_000;

/** How fast a backlog drains against a loop with no logic, and how soon an event is seen. */
export const bench: Bench = {
  name: 'pipeline',
  title: 'From Kafka to the totals',
  async run(options) {
    const { dir, say } = options;
    const clickhouse = await startClickHouseServer({ dir: `${dir}/clickhouse`, port: await freePort(), say });
    const kafka = await startKafkaServer({ dir: `${dir}/kafka`, port: await freePort(), say });
    try {
      return await measure(clickhouse.url, kafka.brokers, options);
    } finally {
      await kafka.stop();
      await clickhouse.stop();
    }
  },
};

async function measure(
  clickhouseUrl: string,
  brokers: string,
  { quick, say }: BenchOptions,
): Promise<string> {
  const kafka = createKafka({ brokers, clientId: 'bench', logger });
  const clickhouse = createClickHouse({ url: clickhouseUrl, database, requestTimeoutMs: 60_000 });
  await migrate(clickhouse);
  await ensureTopics(kafka, topics, { partitions: 6 });
  const backlog = quick ? 60_000 : 1_000_000;
  await produce(kafka, backlog);
  say(`  ${backlog} events wait`);
  const bare = await drainBare(kafka, clickhouse, backlog);
  say(`  bare loop: ${bare.toFixed(0)} events/s`);
  const aggregator = await startAggregator(kafka, clickhouse);
  const drained = await drainAggregator(clickhouse, backlog);
  say(`  aggregator: ${drained.toFixed(0)} events/s`);
  const seconds = quick ? 5 : 30;
  const fresh = await freshness(kafka, clickhouse, backlog, seconds);
  await aggregator.close();
  await clickhouse.close();
  return [
    `A backlog of ${backlog.toLocaleString('en')} events of ${tenants} tenants on 6 partitions, one consumer process, its ` +
      'broker and ClickHouse on the same machine. The bare loop parses, inserts and commits; the aggregator also ' +
      'validates, derives minutes, hours and days, and announces every touched tenant.',
    table(
      ['', 'events/s', 'of the bare loop'],
      [
        ['bare kafkajs-to-insert loop', bare.toFixed(0), '1.00'],
        ['aggregator', drained.toFixed(0), (drained / bare).toFixed(2)],
      ],
    ),
    `At 2,000 events/s for ${seconds} s, from the acknowledgement of Kafka to being counted in every total ` +
      `(asked every 50 ms): p50 ${fresh.p50.toFixed(0)} ms, p99 ${fresh.p99.toFixed(0)} ms, longest ${fresh.max.toFixed(0)} ms.`,
  ].join('\n\n');
}

async function produce(kafka: Kafka, count: number): Promise<void> {
  const producer = createProducer(kafka, { registry: createRegistry('bench') });
  for (let sent = 0; sent < count; sent += 1_000) {
    await producer.send(
      topics.usage,
      Array.from({ length: Math.min(1_000, count - sent) }, (_, index) => record(sent + index)),
    );
  }
  await producer.close();
}

function record(number: number): { key: string; value: string } {
  const tenant = `tenant-${Math.floor(tenants ** Math.random())}`;
  return { key: tenant, value: JSON.stringify(requestEvent(tenant, { data: { sequence: number } })) };
}

/** What anyone would write first: parse, insert, commit, batch by batch of each partition. */
async function drainBare(kafka: Kafka, clickhouse: ClickHouse, count: number): Promise<number> {
  await clickhouse.command(
    'CREATE TABLE bare AS stored_events ENGINE = MergeTree ORDER BY (tenant_id, time)',
  );
  const connection = kafka.open();
  const consumer = connection.client.consumer({
    groupId: 'bare',
    maxBytesPerPartition: 8 * 1024 * 1024,
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [topics.usage], fromBeginning: true });
  const { promise: done, resolve } = Promise.withResolvers<undefined>();
  let left = count;
  const start = performance.now();
  await consumer.run({
    partitionsConsumedConcurrently: 6,
    eachBatch: async ({ batch }) => {
      const rows = batch.messages.map(({ value, offset }) => {
        const event = JSON.parse(value?.toString() ?? '') as ReturnType<typeof requestEvent>;
        const { data } = event;
        return {
          ...data,
          id_b: data.sequence,
          time: event.time,
          tenant_id: event.subject,
          kafka_offset: offset,
        };
      });
      await clickhouse.insert('bare', rows);
      left -= rows.length;
      if (left <= 0) resolve(undefined);
    },
  });
  await done;
  const seconds = (performance.now() - start) / 1000;
  await consumer.disconnect();
  connection.destroy();
  await clickhouse.command('DROP TABLE bare');
  return count / seconds;
}

async function startAggregator(
  kafka: Kafka,
  clickhouse: ClickHouse,
): Promise<{ close: () => Promise<void> }> {
  const lifecycle = createLifecycle(logger);
  runAggregator({
    ...{
      kafka,
      clickhouse,
      topics,
      groupId: 'aggregator',
      bounds: decodeBoundsDefault,
      clock: systemClock,
      logger,
    },
    ...{ blockRowsMax: 40_000, lingerMs: 150, registry: createRegistry('bench'), lifecycle },
    fail: (error) => {
      throw error;
    },
  });
  return Promise.resolve({ close: () => lifecycle.close() });
}

async function drainAggregator(clickhouse: ClickHouse, count: number): Promise<number> {
  const start = performance.now();
  await until(async () => (await counted(clickhouse)) >= count);
  return count / ((performance.now() - start) / 1000);
}

/** When the count first reached what had been acknowledged by some moment, all of that was visible. */
async function freshness(
  kafka: Kafka,
  clickhouse: ClickHouse,
  before: number,
  seconds: number,
): Promise<{ p50: number; p99: number; max: number }> {
  const producer = createProducer(kafka, { registry: createRegistry('bench') });
  const waiting: { total: number; atMs: number; size: number }[] = [];
  const delays: number[] = [];
  const look = async (): Promise<void> => {
    const visible = await counted(clickhouse);
    const nowMs = performance.now();
    while ((waiting[0]?.total ?? Infinity) <= visible) {
      const batch = waiting.shift();
      if (batch !== undefined) delays.push(...Array<number>(batch.size).fill(nowMs - batch.atMs));
    }
  };
  let total = before;
  const stopped = new AbortController();
  const watching = (async () => {
    while (!stopped.signal.aborted || waiting.length > 0) {
      await look();
      await pause(50);
    }
  })();
  const start = performance.now();
  for (let batch = 0; batch < seconds * 20; batch += 1) {
    await pause(start + batch * 50 - performance.now());
    await producer.send(
      topics.usage,
      Array.from({ length: 100 }, (_, index) => record(index)),
    );
    total += 100;
    waiting.push({ total, atMs: performance.now(), size: 100 });
  }
  stopped.abort();
  await watching;
  await producer.close();
  delays.sort((a, b) => a - b);
  const at = (share: number): number =>
    delays[Math.min(delays.length - 1, Math.floor(delays.length * share))] ?? NaN;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

async function counted(clickhouse: ClickHouse): Promise<number> {
  const [row] = await clickhouse.query<{ requests: number }>(
    'SELECT sum(requests) AS requests FROM usage_by_day',
  );
  return row?.requests ?? 0;
}

async function until(check: () => Promise<boolean>): Promise<void> {
  while (!(await check())) await pause(50);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
