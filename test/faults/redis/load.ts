import { Redis } from 'ioredis';
import type { RedisClient } from '../../../shared/redis/client.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { eventually } from '../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from '../../integration/redis/limiters.ts';

/** Nodes that ask faster than the limit allows, all the time, and a record of what each was answered and how soon. */
export interface Load {
  readonly limiters: readonly Limiter[];
  readonly limit: number;
  /** The check that took longest in the time of this process. */
  longest(): Timed;
  /**
   * Most units admitted in any window, by all nodes together, however they decided. A unit is taken somewhere between
   * question and answer, and this process may stand still before it reads the answer: it is in a window if both are.
   */
  mostAdmitted(): number;
  degraded(): number;
  /** Resolves when every node decides with Redis again; answers how long that took. */
  normalAgain(): Promise<number>;
  stop(): Promise<void>;
}

export interface Timed {
  readonly checkMs: number;
  /** Without what this process stood still meanwhile, which is not the doing of the check. */
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
      const call = ask(limiter, index).finally(() => pending.delete(call));
      pending.add(call);
    });
  }, tickMs);

  async function ask(limiter: Limiter, index: number): Promise<void> {
    const [startedAt, ownStartedAt] = [performance.now(), ownTime.nowMs()];
    const result = await limiter.check(requestOf(limits, { tenantId: 'acme' }));
    const timed = { checkMs: performance.now() - startedAt, ownMs: ownTime.nowMs() - ownStartedAt };
    if (timed.ownMs > longest.ownMs) longest = timed;
    lastDegraded[index] = result.degraded;
    if (result.degraded) degraded += 1;
    if (result.passed) admitted.push({ askedMs: startedAt, answeredMs: performance.now() });
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

/** Of a stall, so much counts: a clock that ticks every millisecond is late by less on an idle machine. */
const stallMsMax = 5;

/** A clock that stands still while this process does. */
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
  readonly askedMs: number;
  readonly answeredMs: number;
}

function mostInAnyWindow(admitted: readonly Admitted[]): number {
  const inWindow = (fromMs: number): number =>
    admitted.filter(({ askedMs, answeredMs }) => askedMs >= fromMs && answeredMs < fromMs + windowMs).length;
  return Math.max(0, ...admitted.map(({ askedMs }) => inWindow(askedMs)));
}

/** A connection of the test's own, to cause trouble with. */
export function operator(url: string): Redis {
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  return redis;
}

/** Bare commands, one after the other: what they take is Redis's doing, and the machine's. Answers the longest in ms. */
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
