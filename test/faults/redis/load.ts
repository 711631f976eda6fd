import { Redis } from 'ioredis';
import type { RedisClient } from '../../../shared/redis/client.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { eventually } from '../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from '../../integration/redis/limiters.ts';

/** Nodes that constantly send more checks than the limit allows, and a record of the results and their times. */
export interface Load {
  readonly limiters: readonly Limiter[];
  readonly limit: number;
  /** The check that took longest, measured in the time of this process. */
  longest(): Timed;
  /**
   * The largest number of units admitted in any window, by all nodes together, with or without Redis. A unit is charged between
   * call and result, and this process may be blocked before it reads the result: it is in a window if both are.
   */
  mostAdmitted(): number;
  degraded(): number;
  /** Resolves when every node decides with Redis again, with the time that it took. */
  normalAgain(): Promise<number>;
  stop(): Promise<void>;
}

export interface Timed {
  readonly checkMs: number;
  /** Without the time in which this process was blocked, which the check did not cause. */
  readonly ownMs: number;
}

export const windowMs = 800;
const limit = 40;
const tickMs = 5;

export async function startLoad(
  urls: readonly string[],
  prefix: string,
  callTimeoutMs: number,
): Promise<Load> {
  const clients: RedisClient[] = [];
  const limiters: Limiter[] = [];
  for (const [index, url] of urls.entries()) {
    const redis = await connected(url);
    clients.push(redis);
    limiters.push(limiterOn(redis, prefix, { node: `node-${index}`, callTimeoutMs }));
  }
  await eventually(() => limiters.every((limiter) => limiter.state().nodes === urls.length));

  const limits = [limitOf({ limit, windowMs })];
  const admitted: Admitted[] = [];
  const lastDegraded = limiters.map(() => false);
  let degraded = 0;
  let longest: Timed = { checkMs: 0, ownMs: 0 };
  const ownTime = startOwnTime();
  const pending = new Set<Promise<void>>();
  const timer = setInterval(() => {
    limiters.forEach((limiter, index) => {
      const call = check(limiter, index).finally(() => pending.delete(call));
      pending.add(call);
    });
  }, tickMs);

  async function check(limiter: Limiter, index: number): Promise<void> {
    const [startedAt, ownStartedAt] = [performance.now(), ownTime.nowMs()];
    const result = await limiter.check(requestOf(limits, { tenantId: 'acme' }));
    const timed = { checkMs: performance.now() - startedAt, ownMs: ownTime.nowMs() - ownStartedAt };
    if (timed.ownMs > longest.ownMs) longest = timed;
    lastDegraded[index] = result.degraded;
    if (result.degraded) degraded += 1;
    if (result.passed) admitted.push({ sentAtMs: startedAt, decidedAtMs: performance.now() });
  }

  return {
    limiters,
    limit,
    longest: () => longest,
    mostAdmitted: () => mostInAnyWindow(admitted),
    degraded: () => degraded,
    normalAgain: async () => {
      const startedAt = performance.now();
      await eventually(() => lastDegraded.every((value) => !value), { intervalMs: 10 });
      return performance.now() - startedAt;
    },
    stop: async () => {
      clearInterval(timer);
      await Promise.all(pending);
      ownTime.stop();
      await Promise.all(limiters.map((limiter) => limiter.close()));
      for (const redis of clients) redis.disconnect();
    },
  };
}

/** The part of a stall that counts: on an idle machine a timer of one millisecond is late by less. */
const stallMsMax = 5;

/** A clock that stops while this process is blocked. */
function startOwnTime(): { nowMs(): number; stop(): void } {
  let ownMs = 0;
  let tickedAt = performance.now();
  const nowMs = (): number => ownMs + Math.min(performance.now() - tickedAt, stallMsMax);
  const timer = setInterval(() => {
    ownMs = nowMs();
    tickedAt = performance.now();
  }, 1);
  return { nowMs, stop: () => clearInterval(timer) };
}

interface Admitted {
  readonly sentAtMs: number;
  readonly decidedAtMs: number;
}

function mostInAnyWindow(admitted: readonly Admitted[]): number {
  const inWindow = (fromMs: number): number =>
    admitted.filter(({ sentAtMs, decidedAtMs }) => sentAtMs >= fromMs && decidedAtMs < fromMs + windowMs)
      .length;
  return Math.max(0, ...admitted.map(({ sentAtMs }) => inWindow(sentAtMs)));
}

/** A connection of the test, to inject failures with. */
export function operator(url: string): Redis {
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  return redis;
}

/** Sends bare commands one after the other: their time is that of Redis and the machine. `stop` resolves with the longest, in ms. */
export function startPings(url: string): { stop(): Promise<number> } {
  const redis = operator(url);
  let longestMs = 0;
  const stopping = new AbortController();
  const pinging = (async () => {
    while (!stopping.signal.aborted) {
      const startedAt = performance.now();
      await redis.ping();
      longestMs = Math.max(longestMs, performance.now() - startedAt);
    }
  })();
  const stop = async (): Promise<number> => {
    stopping.abort();
    await pinging;
    redis.disconnect();
    return longestMs;
  };
  return { stop };
}
