import { loadavg } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../dev/servers/free-port.ts';
import { startKafkaServer } from '../../dev/servers/kafka.ts';
import { startRedisServer } from '../../dev/servers/redis.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { createKafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import { signToken } from '../faults/whole-path/load.ts';
import { median, table } from './bench.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { callInLoop, holdStreams } from './metered/calls.ts';
import type { CallOptions, Timings } from './metered/calls.ts';
import { newSecret, startGateway, startUpstream } from './metered/processes.ts';
import type { GatewayServers, RunningGateway } from './metered/processes.ts';

/** The gateway that reads the usage of its calls, compared with the same gateway that only forwards them. */
export const bench: Bench = {
  name: 'metered',
  title: 'Reading the usage of calls',
  isPartOfTable: false,
  async run(options) {
    const { dir, say } = options;
    const redis = await startRedisServer({ dir: join(dir, 'redis'), port: await freePort(), say });
    const kafka = await startKafkaServer({ dir: join(dir, 'kafka'), port: await freePort(), say });
    const upstream = await startUpstream();
    try {
      const connection = createKafka({
        ...{ brokers: kafka.brokers, clientId: 'bench', logger: createLogger('bench', 'silent') },
      });
      await ensureTopics(connection, topicsWith('tollgate.'), { partitions: 6 });
      const servers = {
        ...{ redisUrl: redis.url, brokers: kafka.brokers },
        ...{ upstreamPort: upstream.port, jwtSecret: newSecret() },
      };
      return [await times(servers, options), await memory(servers, options)].join('\n\n');
    } finally {
      await upstream.stop();
      await kafka.stop();
      await redis.stop();
    }
  },
};

/** Figures of one round. */
interface Round {
  readonly firstByteP50: number;
  readonly firstByteP99: number;
  readonly callsPerSecond: number;
  readonly streamFirstByteP50: number;
  readonly streamFirstByteP99: number;
  readonly chunkP50: number;
  readonly chunkP99: number;
  readonly chunksPerSecond: number;
  /** CPU time of the gateway. */
  readonly callCpuMicros: number;
  readonly chunkCpuMicros: number;
}

const labels: Readonly<Record<keyof Round, string>> = {
  firstByteP50: 'no stream: first byte p50, ms',
  firstByteP99: 'no stream: first byte p99, ms',
  callsPerSecond: 'no stream: calls/s',
  streamFirstByteP50: 'stream: first byte p50, ms',
  streamFirstByteP99: 'stream: first byte p99, ms',
  chunkP50: 'stream: upstream to client, a chunk p50, ms',
  chunkP99: 'stream: upstream to client, a chunk p99, ms',
  chunksPerSecond: 'stream: chunks/s',
  callCpuMicros: 'no stream: gateway CPU µs a call',
  chunkCpuMicros: 'stream: gateway CPU µs a chunk',
};

async function times(servers: GatewayServers, { dir, quick, say }: BenchOptions): Promise<string> {
  const reading = await startGateway(true, servers, join(dir, 'gateways'));
  const plain = await startGateway(false, servers, join(dir, 'gateways'));
  const token = await signToken('bench-times', servers.jwtSecret);
  try {
    const [rounds, seconds] = quick ? [1, 0.5] : [5, 2];
    const [on, off]: [Round[], Round[]] = [[], []];
    for (const gateway of [reading, plain]) await measureRound(gateway, token, 1);
    for (let round = 0; round < rounds; round += 1) {
      // Every other round runs in reverse order, so that a machine that slows down favours neither.
      for (const gateway of round % 2 === 0 ? [reading, plain] : [plain, reading]) {
        const measured = await measureRound(gateway, token, seconds);
        (gateway === reading ? on : off).push(measured);
      }
      say(`  round ${round + 1} of ${rounds}, load average ${loadavg()[0]?.toFixed(1) ?? '?'}`);
    }
    return timesReport(on, off);
  } finally {
    await reading.stop();
    await plain.stop();
  }
}

async function measureRound(gateway: RunningGateway, token: string, seconds: number): Promise<Round> {
  const call = (stream: CallOptions['stream'], connections: number): Promise<Timings> =>
    callInLoop({ port: gateway.port, token, stream }, connections, seconds);
  const single = await call(null, 1);
  const beforeMany = gateway.cpuSeconds();
  const many = await call(null, 16);
  const afterMany = gateway.cpuSeconds();
  const paced = await call({ chunks: 20, pauseMs: 2 }, 2);
  const beforeFast = gateway.cpuSeconds();
  const fast = await call({ chunks: 500, pauseMs: 0 }, 16);
  const afterFast = gateway.cpuSeconds();
  return {
    firstByteP50: at(single.firstByteMs, 0.5),
    firstByteP99: at(single.firstByteMs, 0.99),
    callsPerSecond: many.calls / many.seconds,
    streamFirstByteP50: at(paced.firstByteMs, 0.5),
    streamFirstByteP99: at(paced.firstByteMs, 0.99),
    chunkP50: at(paced.chunkMs, 0.5),
    chunkP99: at(paced.chunkMs, 0.99),
    chunksPerSecond: fast.chunkMs.length / fast.seconds,
    callCpuMicros: ((afterMany - beforeMany) * 1e6) / many.calls,
    chunkCpuMicros: ((afterFast - beforeFast) * 1e6) / fast.chunkMs.length,
  };
}

function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

function timesReport(on: readonly Round[], off: readonly Round[]): string {
  const figure = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(3));
  const paired = (key: keyof Round, compare: (a: number, b: number) => number): string =>
    median(on.map((round, index) => compare(round[key], off[index]?.[key] ?? NaN))).toFixed(3);
  const rows = (Object.keys(labels) as (keyof Round)[]).map((key) => [
    labels[key],
    figure(median(off.map((round) => round[key]))),
    figure(median(on.map((round) => round[key]))),
    key.endsWith('PerSecond') ? '–' : paired(key, (a, b) => a - b),
    paired(key, (a, b) => a / b),
  ]);
  return [
    'Two gateways before one upstream that responds at once: one reads the usage of each call (it reserves the estimate, ' +
      'writes the event before the call, settles afterwards), the other has the same policy without `usage`. Everything ' +
      `shares two cores. ${on.length} interleaved rounds, medians; differences and ratios round by round. First byte: one ` +
      'connection without streams, two with streams of 20 chunks, one every 2 ms. Throughput: 16 connections, streams of ' +
      '500 chunks without pauses; a stream’s first chunk is sent after a pause. Aim: first byte p50 + 0.1 ms.',
    table(['', 'without', 'with usage', 'difference', 'ratio'], rows),
  ].join('\n\n');
}

async function memory(servers: GatewayServers, { dir, quick, say }: BenchOptions): Promise<string> {
  const [rounds, streams] = quick ? [1, 100] : [3, 1000];
  const used: Record<'on' | 'off', { readonly used: number; readonly rss: number }[]> = { on: [], off: [] };
  for (let round = 0; round < rounds; round += 1) {
    for (const kind of round % 2 === 0 ? (['off', 'on'] as const) : (['on', 'off'] as const)) {
      const gateway = await startGateway(kind === 'on', servers, join(dir, 'gateways'));
      const token = await signToken('bench-memory', servers.jwtSecret);
      const options = { port: gateway.port, token, stream: { chunks: 20, pauseMs: 0 } };
      (await holdStreams(options, 50)).close();
      const before = await gateway.memory();
      const held = await holdStreams(options, streams);
      const after = await gateway.memory();
      held.close();
      await gateway.stop();
      const perStream = {
        used: (after.usedBytes - before.usedBytes) / streams / 1024,
        rss: (after.rssBytes - before.rssBytes) / streams / 1024,
      };
      used[kind].push(perStream);
      say(`  usage ${kind}: ${perStream.used.toFixed(1)} KiB a stream, resident ${perStream.rss.toFixed(1)}`);
    }
  }
  const row = (name: string, kind: 'on' | 'off'): string[] => [
    name,
    median(used[kind].map((one) => one.used)).toFixed(1),
    median(used[kind].map((one) => one.rss)).toFixed(1),
  ];
  const added = median(used.on.map((one, index) => one.used - (used.off[index]?.used ?? NaN)));
  return [
    `Memory of ${streams} concurrent streams, of which each has sent 20 chunks: ${rounds} interleaved rounds, each with a new ` +
      'process, medians. In use: heap and external memory after a garbage collection.',
    table(
      ['', 'KiB in use a stream', 'KiB resident a stream'],
      [row('without usage', 'off'), row('with usage', 'on')],
    ),
    `Reading usage adds ${added.toFixed(1)} KiB a stream (aim: below 16).`,
  ].join('\n\n');
}
