import type { Logger } from '../../runtime/logger.ts';
import { messageOf } from '../../runtime/errors.ts';
import { replyWithin } from '../client.ts';
import type { RedisClient } from '../client.ts';
import type { CircuitBreaker } from '../fallback/circuit-breaker.ts';
import { nodeShare } from '../fallback/node-share.ts';
import { readScript, runScript } from '../scripts.ts';

/** The permits of one platform-wide concurrent limit that this node holds as one lease. */
export interface PermitPool {
  /** Acquires a permit: at once where the node holds a spare one, otherwise after one call to Redis. */
  acquire(limit: number): boolean | Promise<boolean>;
  /** Releases one permit. The caller makes sure to call it once for each permit. */
  release(): void;
  inUse(): number;
  /** Permits that all nodes hold, as of the last reply. */
  held(): number;
  /** True while the node grants its share of the limit without a lease. */
  degraded(): boolean;
  close(): Promise<void>;
}

export interface PermitPoolOptions {
  readonly redis: RedisClient;
  /** The circuit breaker of the server that holds the key. */
  readonly breaker: () => CircuitBreaker;
  readonly key: string;
  readonly node: string;
  readonly nodes: () => number;
  readonly logger: Logger;
}

/** The lease of a node that died ends after this long. */
export const permitLeaseMs = 5000;
const renewIntervalMs = 1000;
const closeTimeoutMs = 500;
/** The part of the limit that all nodes together keep spare. */
const spareShare = 0.05;

const script = readScript('permits');

/**
 * An open circuit breaker does not end the pool: the lease of this node stays good until its own end, and only without a
 * lease, or when it is used up, the node falls back to its share.
 */
export function createPermitPool(options: PermitPoolOptions): PermitPool {
  const { redis, breaker, key, node, nodes, logger } = options;
  let limit = 0;
  let granted = 0;
  let total = 0;
  let using = 0;
  let degraded = false;
  /** On this node's monotonic clock, measured from before the call: it ends here before it ends in Redis. */
  let leaseEndsAt = 0;
  let exchanging: Promise<void> | null = null;
  let waiting: ((granted: boolean) => void)[] = [];
  const timer = setInterval(renew, renewIntervalMs);
  timer.unref();
  return {
    acquire,
    release: () => void (using -= 1),
    inUse: () => using,
    held: () => total,
    degraded: () => degraded,
    close,
  };

  function acquire(currentLimit: number): boolean | Promise<boolean> {
    limit = currentLimit;
    if (using < capacity()) {
      using += 1;
      return true;
    }
    if (degraded) return false;
    return new Promise((resolve) => {
      waiting.push(resolve);
      // Requests that arrive during a call wait for the next call, which requests permits for them too.
      exchanging ??= exchangeAll();
    });
  }

  function capacity(): number {
    if (degraded) return nodeShare(limit, nodes());
    return performance.now() < leaseEndsAt ? Math.min(granted, limit) : 0;
  }

  function renew(): void {
    if (limit === 0 && granted === 0) return;
    exchanging ??= exchangeAll();
  }

  async function exchangeAll(): Promise<void> {
    let isEnough = false;
    do isEnough = await exchange();
    while (waiting.length > 0 || !isEnough);
    exchanging = null;
  }

  /** Returns false where more permits are in use than were requested: the node granted its share during the call. */
  async function exchange(): Promise<boolean> {
    const requests = waiting;
    waiting = [];
    const spare = Math.max(1, nodeShare(limit * spareShare, nodes()));
    const wanted = using + requests.length + spare;
    // Permits that are being handed back must not be granted during the call.
    granted = Math.min(granted, wanted);
    const startedAt = performance.now();
    let isEnough = true;
    try {
      const reply = await breaker().run(() =>
        runScript(redis, script, [key], [node, wanted, limit, permitLeaseMs]),
      );
      [granted = 0, total = 0] = reply as number[];
      leaseEndsAt = startedAt + permitLeaseMs;
      // Redis granted all that was requested, so it has more: no request is refused for permits that were not requested.
      isEnough = granted < wanted || using + requests.length <= granted;
      degraded = !isEnough;
    } catch (error) {
      degraded = performance.now() >= leaseEndsAt || requests.length > 0;
      logger.debug({ reason: messageOf(error) }, 'permits were not renewed');
    }
    for (const resolve of requests) {
      const hasRoom = using < capacity();
      if (hasRoom) using += 1;
      resolve(hasRoom);
    }
    return isEnough;
  }

  async function close(): Promise<void> {
    clearInterval(timer);
    if (redis.status !== 'ready' || granted === 0) return;
    const call = runScript(redis, script, [key], [node, 0, limit, permitLeaseMs]);
    await replyWithin(call, closeTimeoutMs).catch((error: unknown) =>
      logger.debug({ reason: messageOf(error) }, 'permits were not handed back: their lease ends by itself'),
    );
  }
}
