import { freePort } from '../../dev/servers/free-port.ts';
import { startRedisServer } from '../../dev/servers/redis.ts';
import type { RedisClient } from '../../shared/redis/client.ts';
import type { Limiter } from '../../shared/redis/decision/limiter.ts';
import { connected, limitOf, limiterOn, requestOf } from '../integration/redis/limiters.ts';
import type { Bench, BenchOptions } from './bench.ts';

const windowMs = 1_000;
const limits = [limitOf({ limit: 100, windowMs })];

/** The most requests that any window admits when load is placed at the boundaries of windows. */
export const bench: Bench = {
  name: 'boundary',
  title: 'Requests that a window admits',
  isPartOfTable: true,
  async run(options) {
    const server = await startRedisServer({ dir: options.dir, port: await freePort(), say: options.say });
    const redis = await connected(server.url);
    try {
      return await measure(redis, options);
    } finally {
      redis.disconnect();
      await server.stop();
    }
  },
};

async function measure(redis: RedisClient, { quick, say, record }: BenchOptions): Promise<string> {
  const seconds = quick ? 3 : 8;
  const atBoundary = await admittedBy(redis, 'boundary', seconds, sendAtBoundaries);
  const steady = await admittedBy(redis, 'steady', seconds, sendSteadily);
  record('worstAtBoundary', atBoundary.worst);
  record('worstSteady', steady.worst);
  say(`  worst at boundaries: ${atBoundary.worst}, steadily: ${steady.worst}`);
  return (
    `A limit of 100 requests in a window of one second, ${seconds} s each, two nodes on one Redis. 150 requests at once 5 ms ` +
    `before and 5 ms after each full second: at most **${atBoundary.worst}** admitted in any second, ${atBoundary.admitted} of ` +
    `${atBoundary.sent}. 400 requests a second: at most **${steady.worst}**, ${steady.admitted} of ${steady.sent}. Two requests ` +
    'are less than a second apart if the second was answered within a second after the first was sent.'
  );
}

interface Admitted {
  readonly worst: number;
  readonly admitted: number;
  readonly sent: number;
}

interface Answered {
  readonly sentAtMs: number;
  readonly answeredAtMs: number;
}

async function admittedBy(
  redis: RedisClient,
  prefix: string,
  seconds: number,
  send: (check: () => void, seconds: number) => Promise<void>,
): Promise<Admitted> {
  const nodes = [limiterOn(redis, prefix), limiterOn(redis, prefix)] as [Limiter, Limiter];
  const admitted: Answered[] = [];
  const pending: Promise<void>[] = [];
  const checkOnce = async (): Promise<void> => {
    const sentAtMs = performance.now();
    const { passed, degraded } = await nodes[pending.length % 2 === 0 ? 0 : 1].check(requestOf(limits));
    if (degraded) throw new Error('A check was decided without Redis, which makes the figures invalid.');
    if (passed) admitted.push({ sentAtMs, answeredAtMs: performance.now() });
  };
  await send(() => void pending.push(checkOnce()), seconds);
  await Promise.all(pending);
  await Promise.all(nodes.map((node) => node.close()));
  return { worst: worstOf(admitted), admitted: admitted.length, sent: pending.length };
}

/** The largest number of requests of which the last was answered within a window after the first was sent. */
function worstOf(admitted: readonly Answered[]): number {
  const byStart = admitted.toSorted((a, b) => a.sentAtMs - b.sentAtMs);
  const counts = byStart.map(
    ({ sentAtMs }, index) =>
      byStart.slice(index).filter(({ answeredAtMs }) => answeredAtMs < sentAtMs + windowMs).length,
  );
  return Math.max(0, ...counts);
}

async function sendAtBoundaries(check: () => void, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    for (const offsetMs of [windowMs - 5, windowMs + 5]) {
      await untilMs(Math.floor(Date.now() / windowMs) * windowMs + offsetMs);
      for (let request = 0; request < 150; request += 1) check();
    }
  }
}

async function sendSteadily(check: () => void, seconds: number): Promise<void> {
  const startMs = performance.now();
  let sent = 0;
  while (performance.now() < startMs + seconds * 1000) {
    for (const due = (performance.now() - startMs) * 0.4; sent < due; sent += 1) check();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

async function untilMs(timeMs: number): Promise<void> {
  while (Date.now() < timeMs) await new Promise((resolve) => setTimeout(resolve, 1));
}
