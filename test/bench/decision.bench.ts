import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { freePort } from '../../dev/servers/free-port.ts';
import { startRedisServer } from '../../dev/servers/redis.ts';
import type { RunningRedis } from '../../dev/servers/redis.ts';
import { median, runParts, table } from './bench.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { bareOf, contenders, described, keysOf } from './decision/contenders.ts';
import type { Contender, Keys } from './decision/contenders.ts';
import type { Latencies } from './decision/open-loop.ts';
import {
  measureThroughput,
  openLoopCommand,
  pinToOtherCore,
  serverCore,
  startContender,
} from './decision/processes.ts';
import type { RunningContender } from './decision/processes.ts';
import { createUndisturbed } from './decision/undisturbed.ts';

/** Cost of a decision, compared with bare Fastify and with other libraries, in interleaved rounds of one run. */
export const bench: Bench = {
  name: 'decision',
  title: 'Cost of a decision, compared with other libraries',
  isPartOfTable: true,
  async run(options) {
    const server = await startRedisServer({ dir: options.dir, port: await freePort(), say: options.say });
    pinToOtherCore(server.pid);
    const redis = new Redis(server.url);
    try {
      return await runParts(options, {
        throughput: async () => (await throughputTable(server, options)).join('\n'),
        latency: async () => (await latencyTable(server, redis, options)).join('\n'),
      });
    } finally {
      redis.disconnect();
      await server.stop();
    }
  },
};

async function throughputTable(server: RunningRedis, options: BenchOptions): Promise<string[]> {
  const { quick, waits, dir, say, record } = options;
  const rates = new Map<Contender, number[]>(contenders.map((contender) => [contender, []]));
  const cpuMicros = new Map<Contender, number[]>(contenders.map((contender) => [contender, []]));
  const undisturbed = createUndisturbed(serverCore, waits);
  const [rounds, seconds] = quick ? [1, 1] : [3, 3];
  for (let round = 0; round < rounds; round += 1) {
    // Every other round runs in reverse order, so that a machine that slows down favours no contender.
    const order = round % 2 === 0 ? contenders : contenders.toReversed();
    for (const contender of order) {
      await withContender(contender, server.url, say, async (running) => {
        let measurement = 0;
        await measureThroughput(running.port, 1, dir, keysOf(contender, measurement));
        const { rate, micros } = await undisturbed.measure(running, async () => {
          measurement += 1;
          const usedSeconds = running.cpuSeconds();
          const keys = keysOf(contender, measurement);
          const measured = await measureThroughput(running.port, seconds, dir, keys);
          const usedMicros = (running.cpuSeconds() - usedSeconds) * 1e6;
          return { rate: measured, micros: usedMicros / (measured * seconds) };
        });
        cpuMicros.get(contender)?.push(micros);
        rates.get(contender)?.push(rate);
        say(`  round ${round + 1}/${rounds} ${contender}: ${Math.round(rate)}/s`);
      });
    }
  }
  recordRatios(rates, record);
  const rows = contenders.map((contender) => {
    const own = rates.get(contender) ?? [];
    const spread = `${Math.round(Math.min(...own))}–${Math.round(Math.max(...own))}`;
    const micros = median(cpuMicros.get(contender) ?? []).toFixed(1);
    const toBare = ratioOf(rates, contender, bareOf(contender)).toFixed(2);
    return [described[contender], String(Math.round(median(own))), spread, toBare, micros];
  });
  return [
    `Throughput: a closed loop of 32 connections that send the requests of a hundred tenants in turn; the server alone on one`,
    `core, Redis and the load (wrk) on the other; ${rounds} interleaved rounds, medians; ratios round by round, those of`,
    'Express to bare Express. Every check of Tollgate’s plugin identifies the caller by API key, acquires a permit of the',
    'platform, decides three windows and sets all headers; events off.',
    '',
    table(['contender', 'requests/s', 'lowest–highest', '÷ bare', 'server CPU µs a request'], rows),
    '',
    undisturbed.report(),
  ];
}

/** Runs a measurement with a new process. A contender that fails has no figures; the others have theirs. */
async function withContender(
  contender: Contender,
  redisUrl: string,
  say: BenchOptions['say'],
  measure: (running: RunningContender) => Promise<void>,
): Promise<void> {
  try {
    const running = await startContender(contender, redisUrl);
    await measure(running).finally(() => running.stop());
  } catch (error) {
    say(`  ${contender} failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

type Rates = ReadonlyMap<Contender, readonly number[]>;

/** Compares each round with the round of the other contender, and returns the median of these ratios. */
function ratioOf(rates: Rates, contender: Contender, other: Contender): number {
  return median((rates.get(contender) ?? []).map((rate, round) => rate / (rates.get(other)?.[round] ?? NaN)));
}

function recordRatios(rates: Rates, record: BenchOptions['record']): void {
  record('pluginToBare', ratioOf(rates, 'tollgate', 'bare'));
  record('unleasedToBare', ratioOf(rates, 'tollgate without leases', 'bare'));
  record('pluginToFastifyRateLimit', ratioOf(rates, 'tollgate', 'fastify-rate-limit'));
  record('unleasedToFastifyRateLimit', ratioOf(rates, 'tollgate without leases', 'fastify-rate-limit'));
  record('hotToBare', ratioOf(rates, 'tollgate hot tenant', 'bare'));
}

interface Cost {
  readonly cpuMicros: number;
  readonly calls: number;
  readonly commands: number;
}

const rate = 2000;
/** The figures of the table, by contender. */
const latencyFigures = [
  ['tollgate', ['largeP50', 'largeP90', 'largeP99', 'redisMicrosLarge']],
  ['tollgate exact', ['exactP50', 'exactP90', 'exactP99', 'redisMicrosExact']],
  ['tollgate hot tenant', ['leasedP50', 'leasedP90', 'leasedP99', 'redisMicrosLeased']],
] as const;
/** At this rate a hundred tenants get no leases, so the contender without leases would repeat the first. */
const inOpenLoop = contenders.filter((contender) => contender !== 'tollgate without leases');

async function latencyTable(
  server: RunningRedis,
  redis: Redis,
  { quick, waits, say, record }: BenchOptions,
): Promise<string[]> {
  const undisturbed = createUndisturbed(serverCore, waits);
  const [rounds, seconds] = quick ? [1, 2] : [3, 3];
  const measured = new Map<Contender, (Latencies & Cost)[]>(contenders.map((contender) => [contender, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of round % 2 === 0 ? inOpenLoop : inOpenLoop.toReversed()) {
      await withContender(contender, server.url, say, async (running) => {
        let measurement = 0;
        const latencies = await undisturbed.measure(running, () => {
          const { first, count } = keysOf(contender, measurement);
          measurement += 1;
          const keys = { first, count: Math.min(count, 100) };
          return openLoop({ port: running.port, seconds, keys }, redis);
        });
        measured.get(contender)?.push(latencies);
        say(
          `  open loop ${round + 1}/${rounds} ${contender}: p50 ${latencies.p50} µs, p99 ${latencies.p99} µs`,
        );
      });
    }
  }
  const middle = (contender: Contender, key: keyof (Latencies & Cost)): number =>
    median((measured.get(contender) ?? []).map((one) => one[key]));
  const addedMicros = (contender: Contender, key: 'p50' | 'p90' | 'p99'): number =>
    middle(contender, key) - middle(bareOf(contender), key);
  for (const [contender, [p50, p90, p99, micros]] of latencyFigures) {
    record(p50, addedMicros(contender, 'p50') / 1000);
    record(p90, addedMicros(contender, 'p90') / 1000);
    record(p99, addedMicros(contender, 'p99') / 1000);
    record(micros, middle(contender, 'cpuMicros'));
  }
  record('bareP99Noise', addedMicros('bare again', 'p99') / 1000);
  const rows = inOpenLoop.map((contender) => {
    const cell = (key: 'p50' | 'p90' | 'p99'): string => {
      const added = Math.round(addedMicros(contender, key));
      return `${Math.round(middle(contender, key))} (${added >= 0 ? '+' : ''}${added})`;
    };
    const cost = (key: keyof Cost, digits: number): string =>
      contender.startsWith('bare') ? '–' : middle(contender, key).toFixed(digits);
    const ofRedis = [cost('cpuMicros', 1), cost('calls', 2), cost('commands', 2)];
    return [described[contender], cell('p50'), cell('p90'), cell('p99'), ...ofRedis];
  });
  return [
    `Latency: an open loop of ${rate} requests/s over 32 connections; each request is sent when it is due, regardless of`,
    'earlier responses, and timed from then. µs, medians of the rounds, in brackets the difference to bare; the last row is',
    'bare against itself. CPU time of Redis, calls to Redis, and commands that Redis runs, per check.',
    '',
    table(['contender', 'p50 µs', 'p90 µs', 'p99 µs', 'Redis µs', 'calls', 'commands'], rows),
    '',
    undisturbed.report(),
  ];
}

async function openLoop(
  { port, seconds, keys }: { readonly port: number; readonly seconds: number; readonly keys: Keys },
  redis: Redis,
): Promise<Latencies & Cost> {
  const before = await redisCost(redis);
  const [command, args] = openLoopCommand(port, rate, seconds, keys);
  const latencies = JSON.parse((await promisify(execFile)(command, args)).stdout) as Latencies;
  const after = await redisCost(redis);
  const requests = rate * (seconds + 1);
  const per = (key: keyof Cost): number => (after[key] - before[key]) / requests;
  return { ...latencies, cpuMicros: per('cpuMicros'), calls: per('calls'), commands: per('commands') };
}

/** Counters of Redis. The few commands of the benchmark itself are included. */
async function redisCost(redis: Redis): Promise<Cost> {
  const info = await redis.info('all');
  const number = (name: string): number => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1] ?? 0);
  const calls = [...info.matchAll(/^cmdstat_(?:fcall|evalsha|eval):calls=(\d+)/gm)];
  return {
    cpuMicros: (number('used_cpu_sys') + number('used_cpu_user')) * 1e6,
    calls: calls.reduce((sum, [, count]) => sum + Number(count), 0),
    commands: number('total_commands_processed'),
  };
}
