import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { freePort } from '../../dev/servers/free-port.ts';
import { startRedisServer } from '../../dev/servers/redis.ts';
import type { RunningRedis } from '../../dev/servers/redis.ts';
import { median, table } from './bench.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { contenders, described, tenantsOf } from './decision/contenders.ts';
import type { Contender } from './decision/contenders.ts';
import type { Latencies } from './decision/open-loop.ts';
import {
  measureThroughput,
  openLoopCommand,
  pinToOtherCore,
  serverCore,
  startContender,
} from './decision/processes.ts';
import { createUndisturbed } from './decision/undisturbed.ts';
import type { Undisturbed } from './decision/undisturbed.ts';

/** Cost of a decision, compared with bare Fastify and with other libraries, in interleaved rounds of one run. */
export const bench: Bench = {
  name: 'decision',
  title: 'Cost of a decision, compared with other libraries',
  async run(options) {
    const server = await startRedisServer({ dir: options.dir, port: await freePort(), say: options.say });
    pinToOtherCore(server.pid);
    const redis = new Redis(server.url);
    try {
      const throughput = await throughputTable(server, options);
      const latency = await latencyTable(server, redis, options);
      return [...throughput, '', ...latency].join('\n');
    } finally {
      redis.disconnect();
      await server.stop();
    }
  },
};

async function throughputTable(server: RunningRedis, { quick, dir, say }: BenchOptions): Promise<string[]> {
  const rates = new Map<Contender, number[]>(contenders.map((contender) => [contender, []]));
  const cpuMicros = new Map<Contender, number[]>(contenders.map((contender) => [contender, []]));
  const undisturbed = createUndisturbed(serverCore, !quick);
  const seconds = quick ? 1 : 4;
  const rounds = quick ? 1 : 5;
  for (let round = 0; round < rounds; round += 1) {
    // Every other round runs in reverse order, so that a machine that slows down favours no contender.
    const order = round % 2 === 0 ? contenders : contenders.toReversed();
    for (const contender of order) {
      const running = await startContender(contender, server.url);
      await measureThroughput(running.port, 1, dir, tenantsOf(contender));
      const { rate, micros } = await undisturbed.measure(running, async () => {
        const usedSeconds = running.cpuSeconds();
        const measured = await measureThroughput(running.port, seconds, dir, tenantsOf(contender));
        return {
          rate: measured,
          micros: ((running.cpuSeconds() - usedSeconds) * 1e6) / (measured * seconds),
        };
      });
      cpuMicros.get(contender)?.push(micros);
      await running.stop();
      rates.get(contender)?.push(rate);
      say(`  round ${round + 1}/${rounds} ${contender}: ${Math.round(rate)}/s`);
    }
  }
  const middle = (contender: Contender): number => median(rates.get(contender) ?? []);
  const bare = middle('bare');
  const rows = contenders.map((contender) => {
    const own = rates.get(contender) ?? [];
    // Compares each round with the round of `bare` next to it, then takes the median of these ratios.
    const ratio = median(own.map((rate, round) => rate / (rates.get('bare')?.[round] ?? NaN)));
    const spread = `${Math.round(Math.min(...own))}–${Math.round(Math.max(...own))}`;
    const micros = median(cpuMicros.get(contender) ?? []).toFixed(1);
    return [described[contender], String(Math.round(middle(contender))), spread, ratio.toFixed(2), micros];
  });
  const against = (other: Contender): string => (middle('tollgate') / middle(other)).toFixed(2);
  return [
    `Throughput: a closed loop of 32 connections that send the requests of a hundred tenants in turn; the server alone on one`,
    `core, Redis and the load (wrk) on the other; ${rounds} interleaved rounds, medians. Every check of Tollgate’s plugin`,
    `identifies the caller by API key, acquires a permit of the platform, decides three windows and sets all headers; events off.`,
    '',
    table(['contender', 'requests/s', 'lowest–highest', '÷ bare', 'server CPU µs a request'], rows),
    '',
    `Tollgate’s plugin is ${(middle('tollgate') / bare).toFixed(2)} of bare (aim 0.70), ` +
      `${against('flexible union')} × the union (aim 2) and ${against('fastify-rate-limit')} × @fastify/rate-limit ` +
      `with three times its windows (aim 1.15).`,
    ...disturbance(undisturbed, rounds * contenders.length),
  ];
}

interface Cost {
  readonly cpuMicros: number;
  readonly calls: number;
  readonly commands: number;
}

const rate = 2000;

async function latencyTable(
  server: RunningRedis,
  redis: Redis,
  { quick, say }: BenchOptions,
): Promise<string[]> {
  const undisturbed = createUndisturbed(serverCore, !quick);
  const rounds = quick ? 1 : 3;
  const seconds = quick ? 2 : 8;
  const measured = new Map<Contender, (Latencies & Cost)[]>(contenders.map((contender) => [contender, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
      const running = await startContender(contender, server.url);
      const latencies = await undisturbed.measure(running, () => openLoop(running.port, seconds, redis));
      await running.stop();
      measured.get(contender)?.push(latencies);
      say(`  open loop ${contender}: p50 ${latencies.p50} µs, p99 ${latencies.p99} µs`);
    }
  }
  const middle = (contender: Contender, key: keyof (Latencies & Cost)): number =>
    median((measured.get(contender) ?? []).map((one) => one[key]));
  const rows = contenders.map((contender) => {
    const added = (key: 'p50' | 'p99'): string => {
      const own = middle(contender, key);
      return `${Math.round(own)} (${own >= middle('bare', key) ? '+' : ''}${Math.round(own - middle('bare', key))})`;
    };
    const perCheck = contender.startsWith('bare')
      ? ['–', '–', '–']
      : [
          middle(contender, 'cpuMicros').toFixed(1),
          middle(contender, 'calls').toFixed(2),
          middle(contender, 'commands').toFixed(2),
        ];
    return [described[contender], added('p50'), added('p99'), ...perCheck];
  });
  return [
    `Latency: an open loop of ${rate} requests/s over 32 connections; each request is sent at its scheduled time, regardless of`,
    'earlier responses, and timed from there. µs, medians of the rounds, in brackets the difference to bare (aim: p50 below',
    '200, p99 below 1,000). CPU time of Redis, calls to Redis, and commands that Redis runs, per check.',
    '',
    table(['contender', 'p50 µs', 'p99 µs', 'Redis µs', 'calls', 'commands'], rows),
    ...disturbance(undisturbed, rounds * contenders.length),
  ];
}

async function openLoop(port: number, seconds: number, redis: Redis): Promise<Latencies & Cost> {
  const before = await redisCost(redis);
  const [command, args] = openLoopCommand(port, rate, seconds);
  const latencies = JSON.parse((await promisify(execFile)(command, args)).stdout) as Latencies;
  const after = await redisCost(redis);
  const requests = rate * (seconds + 1);
  const per = (key: keyof Cost): number => (after[key] - before[key]) / requests;
  return { ...latencies, cpuMicros: per('cpuMicros'), calls: per('calls'), commands: per('commands') };
}

function disturbance(undisturbed: Undisturbed, measurements: number): string[] {
  const count = undisturbed.disturbed();
  if (count === 0) return [];
  return [
    '',
    `Other processes used the server’s core during ${count} of ${measurements} measurements, which makes them less reliable.`,
  ];
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
