import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { decodeBoundsDefault } from '../../../services/aggregator/events/decode.ts';
import { runAggregator } from '../../../services/aggregator/service.ts';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { createLifecycle } from '../../../shared/runtime/lifecycle.ts';
import type { Lifecycle } from '../../../shared/runtime/lifecycle.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { createRegistry } from '../../../shared/runtime/http/ops.ts';
import { requestEvent } from '../../integration/aggregator/events.ts';

export interface Backlog {
  readonly kafka: Kafka;
  readonly brokers: string;
  readonly clickhouseUrl: string;
  readonly events: number;
}

/** The topics of the backlog. */
export const topics = topicsWith('bench.');

export const backlogTenants = 1_000;
const eventsPerSecond = 2_000;
/** A drain that takes longer has failed. */
const drainMsMax = 180_000;
/** Shortest and longest time between two queries of the totals. */
const [queryMsMin, queryMsMax] = [50, 1_000];

/**
 * Produces events up to now, with timestamps at a rate of 2,000 a second, as after an outage of the consumer. A few
 * tenants have many events, most have few.
 */
export async function produceBacklog({ kafka, events }: Backlog): Promise<void> {
  const producer = createProducer(kafka, { registry: createRegistry('bench') });
  const startMs = Date.now() - (events / eventsPerSecond) * 1000;
  for (let sent = 0; sent < events; sent += 1_000) {
    const records = Array.from({ length: Math.min(1_000, events - sent) }, (_, index) => {
      const sequence = sent + index;
      const tenant = `tenant-${Math.floor(backlogTenants ** Math.random())}`;
      const timeMs = Math.floor(startMs + (sequence / eventsPerSecond) * 1000);
      return {
        key: tenant,
        value: JSON.stringify(requestEvent(tenant, { timeMs, data: variety(sequence) })),
      };
    });
    await producer.send(topics.usage, records);
  }
  await producer.close();
}

function variety(sequence: number) {
  const limited = Math.random() < 0.08;
  return {
    sequence,
    user_id: `user-${Math.floor(Math.random() * 200)}`,
    ...(limited ? { status: 429, decision: 'limited' as const, limited_by: ['minute'] } : {}),
    latency_ms: Math.exp(3 + Math.random()),
    check_us: 80 + Math.floor(Math.random() * 100),
    client_ip: `192.0.2.${Math.floor(Math.random() * 250)}`,
  };
}

/** The simplest consumer: parses, inserts and commits each batch of a partition. Returns events a second. */
export async function drainBare({ kafka, clickhouseUrl, events }: Backlog, round: number): Promise<number> {
  const clickhouse = await openDatabase(clickhouseUrl, `bare_${round}`);
  await clickhouse.command(
    'CREATE TABLE bare AS stored_events ENGINE = MergeTree ORDER BY (tenant_id, time)',
  );
  const connection = kafka.open();
  const consumer = connection.client.consumer({
    groupId: `bare-${round}`,
    maxBytesPerPartition: 8 * 1024 * 1024,
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [topics.usage], fromBeginning: true });
  const { promise: done, resolve } = Promise.withResolvers<undefined>();
  let remaining = events;
  const start = performance.now();
  await consumer.run({
    partitionsConsumedConcurrently: 6,
    eachBatch: async ({ batch }) => {
      const rows = batch.messages.map(({ value, offset }) => {
        const { data, time, subject } = JSON.parse(value?.toString() ?? '') as ReturnType<
          typeof requestEvent
        >;
        return { ...data, id_b: data.sequence, time, tenant_id: subject, kafka_offset: offset };
      });
      await clickhouse.insert('bare', rows);
      remaining -= rows.length;
      if (remaining <= 0) resolve(undefined);
    },
  });
  await done;
  const seconds = (performance.now() - start) / 1000;
  await consumer.disconnect();
  connection.destroy();
  await clickhouse.command(`DROP DATABASE bare_${round}`);
  await clickhouse.close();
  return events / seconds;
}

/** Runs the aggregator as its main.ts does, from joining its group until the totals count every event. */
export async function drainAggregator(backlog: Backlog, round: number): Promise<number> {
  const database = `aggregator_${round}`;
  return drainInto(backlog, database, (clickhouse) => {
    const lifecycle = createLifecycle(createLogger('bench', 'silent'));
    const start = (): void => startAggregator({ ...backlog, clickhouse, groupId: database }, lifecycle);
    return Promise.resolve({ start, stop: () => lifecycle.close() });
  });
}

/** Consumers that `start` starts to consume. */
interface Consumers {
  start(): void;
  stop(): Promise<void>;
}

async function drainInto(
  { clickhouseUrl, events }: Backlog,
  database: string,
  prepare: (clickhouse: ClickHouse) => Promise<Consumers>,
): Promise<number> {
  const clickhouse = await openDatabase(clickhouseUrl, database);
  const consumers = await prepare(clickhouse);
  const start = performance.now();
  consumers.start();
  try {
    await untilCounted(clickhouse, events, start);
  } catch (error) {
    await consumers.stop();
    throw error;
  }
  const seconds = (performance.now() - start) / 1000;
  await consumers.stop();
  await clickhouse.command(`DROP DATABASE ${database}`);
  await clickhouse.close();
  return events / seconds;
}

/**
 * Waits until the totals count all events. A query costs ClickHouse 12 ms of CPU time, so the totals are queried rarely
 * until the drain is nearly complete: at 20 queries a second, each event would cost 4 µs more than in the bare loop.
 */
async function untilCounted(clickhouse: ClickHouse, events: number, startMs: number): Promise<void> {
  for (;;) {
    const counted = await countRequests(clickhouse);
    if (counted >= events) return;
    const elapsedMs = performance.now() - startMs;
    if (elapsedMs > drainMsMax) throw new Error(`the totals have ${counted} of ${events} events`);
    const remainingMs = counted === 0 ? 0 : (elapsedMs * (events - counted)) / counted;
    await setTimeout(Math.min(queryMsMax, Math.max(queryMsMin, remainingMs / 2)));
  }
}

export function startAggregator(
  {
    kafka,
    clickhouse,
    groupId,
  }: Pick<Backlog, 'kafka'> & { readonly clickhouse: ClickHouse; readonly groupId: string },
  lifecycle: Lifecycle,
): void {
  const logger = createLogger('bench', 'silent');
  runAggregator({
    ...{ kafka, clickhouse, topics, groupId, bounds: decodeBoundsDefault, clock: systemClock, logger },
    ...{ blockRowsMax: 40_000, lingerMs: 150, registry: createRegistry('bench'), lifecycle },
    fail: (error) => {
      throw error;
    },
  });
}

/** The same with two processes of one group, which start to consume at the same time. */
export async function drainTwoAggregators(backlog: Backlog, round: number): Promise<number> {
  const database = `two_aggregators_${round}`;
  return drainInto(backlog, database, async () => {
    const script = join(import.meta.dirname, 'aggregator.ts');
    const children = [1, 2].map(() =>
      spawn(process.execPath, [script, backlog.brokers, backlog.clickhouseUrl, database], {
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    );
    await Promise.all(children.map(({ stdout }) => once(stdout, 'data')));
    return {
      start: () => children.forEach(({ stdin }) => void stdin.write('start')),
      async stop() {
        const exits = children.map((child) => once(child, 'exit'));
        for (const { stdin } of children) stdin.end();
        await Promise.all(exits);
      },
    };
  });
}
/** The number of requests in the totals of all days. */
export async function countRequests(clickhouse: ClickHouse): Promise<number> {
  const [row] = await clickhouse.query<{ requests: number }>(
    'SELECT sum(requests) AS requests FROM usage_by_day',
  );
  return row?.requests ?? 0;
}

async function openDatabase(url: string, database: string): Promise<ClickHouse> {
  const clickhouse = createClickHouse({ url, database, requestTimeoutMs: 60_000 });
  await migrate(clickhouse);
  return clickhouse;
}
