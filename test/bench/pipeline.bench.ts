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
import { median, table } from './bench.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { cpuSecondsOf, pinToOtherCore } from './decision/processes.ts';
import { backlogTenants, drainAggregator, drainBare, produceBacklog } from './pipeline/drain.ts';
import type { Backlog } from './pipeline/drain.ts';
import { eventsCost } from './pipeline/events-cost.ts';
import { describeResponses, loadAndWatch, startWholePath } from './pipeline/whole-path.ts';

const topics = topicsWith('bench.');

/** Drain rate of a backlog compared with a bare loop, time from a response to the totals, and cost of events in the gateway. */
export const bench: Bench = {
  name: 'pipeline',
  title: 'From the response to the totals',
  async run(options) {
    const sections = [await drain(options), await freshness(options), await cost(options)];
    return sections.join('\n\n');
  },
};

interface Drained {
  readonly rate: number;
  readonly consumerMicros: number;
  readonly clickhouseMicros: number;
}

async function drain({ quick, say, ...options }: BenchOptions): Promise<string> {
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
    const backlog = { kafka, topics, clickhouseUrl: clickhouse.url, events: quick ? 60_000 : 1_000_000 };
    await produceBacklog(backlog);
    say(`  ${backlog.events} events produced`);
    const [bare, own]: [Drained[], Drained[]] = [[], []];
    const rounds = quick ? 1 : 3;
    for (let round = 0; round < rounds; round += 1) {
      for (const consumer of round % 2 === 0 ? ['bare', 'aggregator'] : ['aggregator', 'bare']) {
        const run = consumer === 'bare' ? drainBare : drainAggregator;
        const drained = await measureDrain(() => run(backlog, round), backlog, clickhouse.pid);
        (consumer === 'bare' ? bare : own).push(drained);
        say(
          `  ${consumer}: ${drained.rate.toFixed(0)} events/s, load average ${loadavg()[0]?.toFixed(1) ?? '?'}`,
        );
      }
    }
    return drainReport(backlog, bare, own);
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

function drainReport({ events }: Backlog, bare: readonly Drained[], own: readonly Drained[]): string {
  const middle = (rounds: readonly Drained[], key: keyof Drained): number =>
    median(rounds.map((one) => one[key]));
  const row = (name: string, rounds: readonly Drained[], ratio: number): string[] => [
    name,
    middle(rounds, 'rate').toFixed(0),
    ratio.toFixed(2),
    middle(rounds, 'consumerMicros').toFixed(1),
    middle(rounds, 'clickhouseMicros').toFixed(1),
  ];
  const ratio = median(own.map(({ rate }, round) => rate / (bare[round]?.rate ?? NaN)));
  return [
    `A backlog of ${events.toLocaleString('en')} events of ${backlogTenants} tenants on 6 partitions, with times of 2,000 events a ` +
      `second; one consumer process, its broker and ClickHouse on the same machine; ${own.length} interleaved rounds, ` +
      'medians. The bare loop parses, inserts and commits; the aggregator also validates, derives minutes, hours and ' +
      'days, and announces every affected tenant; its time includes joining the consumer group.',
    table(
      ['', 'events/s', 'of the bare loop', 'consumer CPU µs an event', 'ClickHouse CPU µs an event'],
      [row('bare kafkajs-to-insert loop', bare, 1), row('aggregator', own, ratio)],
    ),
  ].join('\n\n');
}

async function freshness({ quick, say, dir }: BenchOptions): Promise<string> {
  const path = await startWholePath(join(dir, 'path'), say);
  const seconds = quick ? 5 : 60;
  try {
    // Warm-up: in the first seconds V8 compiles the code.
    await loadAndWatch(path, 500, quick ? 2 : 10);
    const fresh = await loadAndWatch(path, 2_000, seconds);
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
    await ensureTopics(connection, topicsWith('cost.'), { partitions: 6 });
    return await eventsCost(redis.url, kafka.brokers, options);
  } finally {
    await kafka.stop();
    await redis.stop();
  }
}
