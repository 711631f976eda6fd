import { Redis } from 'ioredis';
import type { RedisClient } from '../../../shared/redis/client.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { eventually } from '../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from '../../integration/redis/limiters.ts';

/** Nodes that constantly send more checks than the limit allows, and a record of the results with their times. */
export interface Load {
  readonly limiters: readonly Limiter[];
  readonly limit: number;
  /** Returns the slowest check. Time in which this process was blocked does not count. */
  longest(): Timed;
  /**
   * Returns the largest number of units that all nodes together admitted in any window, with or without Redis. The
   * exact time of a charge is unknown: it is between the call and its result, which this process may read late. A unit
   * counts for a window if both call and result are within the window.
   */
  mostAdmitted(): number;
  degraded(): number;
  /** Resolves when every node decides with Redis again. The result is the milliseconds until then. */
  normalAgain(): Promise<number>;
  stop(): Promise<void>;
}

export interface Timed {
  readonly checkMs: number;
  /**
   * Duration of the check without the time in which this process was blocked, because the check did not cause the
   * block.
   */
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

/**
 * A stall of this process counts as time only up to this length. On an idle machine a timer of one millisecond is late
 * by less than this.
 */
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

/** A connection with which the test injects failures. */
export function operator(url: string): Redis {
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  return redis;
}

/**
 * Sends PINGs one after the other. Their duration depends only on Redis and the machine. `stop` resolves with the
 * longest duration in ms.
 */
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
