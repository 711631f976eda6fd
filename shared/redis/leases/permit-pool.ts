import type { Logger } from '../../runtime/logger.ts';
import { messageOf } from '../../runtime/errors.ts';
import { callTimeoutMsDefault, replyWithin } from '../client.ts';
import type { RedisClient } from '../client.ts';
import { readScript, runScript } from '../scripts.ts';

/** This node's share of one limit on concurrent requests of the whole platform. */
export interface PermitPool {
  /** Takes a permit: at once where the node holds a spare one, else after one call to Redis. */
  take(limit: number): boolean | Promise<boolean>;
  /** Gives one back. The caller sees to it that it does so once. */
  give(): void;
  inUse(): number;
  /** Permits all nodes hold, as of the last answer. */
  held(): number;
  degraded(): boolean;
  close(): Promise<void>;
}

export interface PermitPoolOptions {
  readonly redis: RedisClient;
  readonly key: string;
  readonly node: string;
  readonly nodes: () => number;
  readonly logger: Logger;
  /** A call without an answer for this long is decided locally. */
  readonly callTimeoutMs?: number;
}

/** A node that died holds its permits for this long at most. */
export const permitLeaseMs = 5000;
const renewIntervalMs = 1000;
const closeTimeoutMs = 500;
/** All nodes together keep at most about this share of the limit idle in their hands. */
const spareShare = 0.05;

const script = readScript('permits');

export function createPermitPool(options: PermitPoolOptions): PermitPool {
  const { redis, key, node, nodes, logger, callTimeoutMs = callTimeoutMsDefault } = options;
  let limit = 0;
  let granted = 0;
  let total = 0;
  let using = 0;
  let degraded = false;
  /** On this node's monotonic clock, counted from before the call: it ends here before it ends in Redis. */
  let leaseEndsAt = 0;
  let exchanging: Promise<void> | null = null;
  let waiting: ((granted: boolean) => void)[] = [];
  const timer = setInterval(renew, renewIntervalMs);
  timer.unref();
  return {
    take,
    give: () => void (using -= 1),
    inUse: () => using,
    held: () => total,
    degraded: () => degraded,
    close,
  };

  function take(limitNow: number): boolean | Promise<boolean> {
    limit = limitNow;
    if (using < capacity()) {
      using += 1;
      return true;
    }
    if (degraded) return false;
    return new Promise((resolve) => {
      waiting.push(resolve);
      // Those who come while a call is on its way wait for the next one, which asks for them too.
      exchanging ??= pump();
    });
  }

  function capacity(): number {
    if (degraded) return limit === 0 ? 0 : Math.max(1, Math.floor(limit / Math.max(1, nodes())));
    return performance.now() < leaseEndsAt ? Math.min(granted, limit) : 0;
  }

  function renew(): void {
    if (limit === 0 && granted === 0) return;
    exchanging ??= pump();
  }

  async function pump(): Promise<void> {
    let enough = false;
    do enough = await exchange();
    while (waiting.length > 0 || !enough);
    exchanging = null;
  }

  /** False where more is in use than was asked for, since the node decided by its share while the call was under way. */
  async function exchange(): Promise<boolean> {
    const asking = waiting;
    waiting = [];
    const spare = Math.max(1, Math.floor((limit * spareShare) / Math.max(1, nodes())));
    const wanted = using + asking.length + spare;
    // What is being handed back must not be given out meanwhile.
    granted = Math.min(granted, wanted);
    const startedAt = performance.now();
    let enough = true;
    try {
      const call = runScript(redis, script, [key], [node, wanted, limit, permitLeaseMs]);
      [granted = 0, total = 0] = (await replyWithin(call, callTimeoutMs)) as number[];
      leaseEndsAt = startedAt + permitLeaseMs;
      // Where Redis gave all that was asked for it would give more: nobody is refused for what was not asked.
      enough = granted < wanted || using + asking.length <= granted;
      degraded = !enough;
    } catch (error) {
      // A lease that still runs is still good; without one the node falls back to its share.
      degraded = performance.now() >= leaseEndsAt || asking.length > 0;
      logger.debug({ reason: messageOf(error) }, 'permits not renewed');
    }
    for (const resolve of asking) {
      const room = using < capacity();
      if (room) using += 1;
      resolve(room);
    }
    return enough;
  }

  async function close(): Promise<void> {
    clearInterval(timer);
    if (redis.status !== 'ready' || granted === 0) return;
    const call = runScript(redis, script, [key], [node, 0, limit, permitLeaseMs]);
    await replyWithin(call, closeTimeoutMs).catch((error: unknown) =>
      logger.debug({ reason: messageOf(error) }, 'permits not handed back: they end by themselves'),
    );
  }
}
