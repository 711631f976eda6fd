import { loadavg } from 'node:os';
import { join } from 'node:path';
import { startClickHouseServer } from '../../dev/servers/clickhouse.ts';
import { freePort } from '../../dev/servers/free-port.ts';
import { startKafkaServer } from '../../dev/servers/kafka.ts';
import { startRedisServer } from '../../dev/servers/redis.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { createKafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import { median, runParts, table } from './bench.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { cpuSecondsOf, pinToOtherCore } from './decision/processes.ts';
import { bytesOfTopic } from './pipeline/topic-bytes.ts';
import {
  backlogTenants,
  drainAggregator,
  drainBare,
  drainTwoAggregators,
  produceBacklog,
  topics,
} from './pipeline/drain.ts';
import type { Backlog } from './pipeline/drain.ts';
import { eventsCost } from './pipeline/events-cost.ts';
import { describeResponses, loadAndWatch, startWholePath } from './pipeline/whole-path.ts';

const costTopics = topicsWith('cost.');

/** Drain rate of a backlog compared with a bare loop, time from a response to the totals, and cost of events in the gateway. */
export const bench: Bench = {
  name: 'pipeline',
  title: 'From the response to the totals',
  isPartOfTable: true,
  run: (options) =>
    runParts(options, {
      'drain rate': () => drain(options),
      freshness: () => freshness(options),
      'cost of events': () => cost(options),
    }),
};

const drains = { bare: drainBare, aggregator: drainAggregator, 'two aggregators': drainTwoAggregators };
type Consumer = keyof typeof drains;
const consumers = Object.keys(drains) as Consumer[];

interface Drained {
  readonly rate: number;
  readonly consumerMicros: number;
  readonly clickhouseMicros: number;
}

async function drain(options: BenchOptions): Promise<string> {
  const { quick, say } = options;
  const dir = join(options.dir, 'drain');
  const clickhouse = await startClickHouseServer({
    dir: join(dir, 'clickhouse'),
    port: await freePort(),
    say,
  });
  const server = await startKafkaServer({ dir: join(dir, 'kafka'), port: await freePort(), say });
  try {
    const logger = createLogger('bench', 'silent');
    const kafka = createKafka({ brokers: server.brokers, clientId: 'bench', logger });
    await ensureTopics(kafka, topics, { partitions: 6 });
    const events = quick ? 300_000 : 1_000_000;
    const backlog = { kafka, brokers: server.brokers, clickhouseUrl: clickhouse.url, events };
    await produceBacklog(backlog);
    say(`  ${backlog.events} events produced`);
    const drained: Record<Consumer, Drained[]> = { bare: [], aggregator: [], 'two aggregators': [] };
    const rounds = quick ? 1 : 3;
    for (let round = 0; round < rounds; round += 1) {
      for (const consumer of round % 2 === 0 ? consumers : consumers.toReversed()) {
        const run = drains[consumer];
        const measured = await measureDrain(() => run(backlog, round), backlog, clickhouse.pid);
        drained[consumer].push(measured);
        say(
          `  ${consumer}: ${measured.rate.toFixed(0)} events/s, load average ${loadavg()[0]?.toFixed(1) ?? '?'}`,
        );
      }
    }
    return drainReport(backlog, drained, options.record);
  } finally {
    await server.stop();
    await clickhouse.stop();
  }
}

async function measureDrain(
  run: () => Promise<number>,
  { events }: Backlog,
  clickhousePid: number,
): Promise<Drained> {
  const before = { own: cpuSecondsOf(process.pid), clickhouse: cpuSecondsOf(clickhousePid) };
  const rate = await run();
  return {
    rate,
    consumerMicros: ((cpuSecondsOf(process.pid) - before.own) * 1e6) / events,
    clickhouseMicros: ((cpuSecondsOf(clickhousePid) - before.clickhouse) * 1e6) / events,
  };
}

function drainReport(
  { events }: Backlog,
  drained: Readonly<Record<Consumer, readonly Drained[]>>,
  record: BenchOptions['record'],
): string {
  const middle = (consumer: Consumer, key: keyof Drained): number =>
    median(drained[consumer].map((one) => one[key]));
  const ratio = (consumer: Consumer): number =>
    median(drained[consumer].map(({ rate }, round) => rate / (drained.bare[round]?.rate ?? NaN)));
  record('drainOne', middle('aggregator', 'rate'));
  record('drainTwo', middle('two aggregators', 'rate'));
  record('drainToBare', ratio('aggregator'));
  record('aggregatorMicros', middle('aggregator', 'consumerMicros'));
  record('clickhouseMicros', middle('aggregator', 'clickhouseMicros'));
  const row = (name: string, consumer: Consumer): string[] => [
    name,
    middle(consumer, 'rate').toFixed(0),
    ratio(consumer).toFixed(2),
    // The CPU time of two aggregators is that of other processes.
    consumer === 'two aggregators' ? '–' : middle(consumer, 'consumerMicros').toFixed(1),
    middle(consumer, 'clickhouseMicros').toFixed(1),
  ];
  return [
    `A backlog of ${events.toLocaleString('en')} events of ${backlogTenants} tenants on 6 partitions, with times of 2,000 events a ` +
      'second; consumer processes, their broker and ClickHouse on the same machine; ' +
      `${drained.bare.length} interleaved rounds, medians. The bare loop parses, inserts and commits; the aggregator also ` +
      'validates, derives minutes, hours and days, and announces every affected tenant; its time includes joining the ' +
      'consumer group.',
    table(
      ['', 'events/s', 'of the bare loop', 'consumer CPU µs an event', 'ClickHouse CPU µs an event'],
      [
        row('bare kafkajs-to-insert loop', 'bare'),
        row('aggregator', 'aggregator'),
        row('two aggregators, each a process', 'two aggregators'),
      ],
    ),
  ].join('\n\n');
}

async function freshness({ quick, say, dir, record }: BenchOptions): Promise<string> {
  const path = await startWholePath(join(dir, 'path'), say);
  const seconds = quick ? 5 : 40;
  try {
    // Warm-up: in the first seconds V8 compiles the code.
    await loadAndWatch(path, 500, quick ? 2 : 10);
    const fresh = await loadAndWatch(path, 2_000, seconds);
    record('freshnessP50', fresh.p50);
    record('freshnessP99', fresh.p99);
    return (
      `All services, each a process, at ${fresh.perSecond.toFixed(0)} requests/s for ${seconds} s (${describeResponses(fresh)}): ` +
      `from the response at the client until every total counts it ` +
      `(queried every 50 ms) p50 ${fresh.p50.toFixed(0)} ms, p99 ${fresh.p99.toFixed(0)} ms, longest ` +
      `${fresh.max.toFixed(0)} ms; load average ${loadavg()[0]?.toFixed(1) ?? '?'}.`
    );
  } finally {
    await path.stop();
  }
}

async function cost(options: BenchOptions): Promise<string> {
  const { say } = options;
  const dir = join(options.dir, 'cost');
  const redis = await startRedisServer({ dir: join(dir, 'redis'), port: await freePort(), say });
  const kafka = await startKafkaServer({ dir: join(dir, 'kafka'), port: await freePort(), say });
  try {
    for (const { pid } of [redis, kafka]) pinToOtherCore(pid);
    const logger = createLogger('bench', 'silent');
    const connection = createKafka({ brokers: kafka.brokers, clientId: 'bench', logger });
    await ensureTopics(connection, costTopics, { partitions: 6 });
    const report = await eventsCost(redis.url, kafka.brokers, options);
    const bytes = await bytesOfTopic(connection, costTopics.usage, join(dir, 'kafka'));
    options.record('kafkaBytes', bytes);
    return `${report}\n\nAn event of a gateway needs ${bytes.toFixed(0)} bytes on the disk of each replica of Kafka.`;
  } finally {
    await kafka.stop();
    await redis.stop();
  }
}
