import type { Logger } from '../../runtime/logger.ts';
import { messageOf } from '../../runtime/errors.ts';
import { replyWithin } from '../client.ts';
import type { RedisClient } from '../client.ts';
import type { CircuitBreaker } from '../fallback/circuit-breaker.ts';
import { nodeShare } from '../fallback/node-share.ts';
import { readScript, runScript } from '../scripts.ts';

/** This node's permits of one platform-wide concurrent limit. The node holds them as one lease in Redis. */
export interface PermitPool {
  /**
   * Acquires a permit: at once if the node holds a spare permit, otherwise after one call to Redis. The result is false when the
   * limit refuses it.
   */
  acquire(limit: number): boolean | Promise<boolean>;
  /** Releases one permit. Must be called exactly once for each acquired permit. */
  release(): void;
  inUse(): number;
  /** Number of permits that all nodes hold together, from Redis's last reply. */
  held(): number;
  /** True while the node has no usable lease and grants its share of the limit. */
  degraded(): boolean;
  close(): Promise<void>;
}

export interface PermitPoolOptions {
  readonly redis: RedisClient;
  /** Returns the circuit breaker of the Redis server that holds the key. */
  readonly breaker: () => CircuitBreaker;
  readonly key: string;
  readonly node: string;
  readonly nodes: () => number;
  readonly logger: Logger;
}

/** Length of a node's lease: the permits of a node that died are free again after this time. */
export const permitLeaseMs = 5000;
const renewIntervalMs = 1000;
const closeTimeoutMs = 500;
/** Part of the limit that all nodes together hold as spare permits. */
const spareShare = 0.05;

const script = readScript('permits');

/**
 * While the circuit breaker is open, the node still grants the permits of its lease until the lease ends. When the lease has
 * ended, or all of its permits are in use, the node grants its share of the limit instead.
 */
export function createPermitPool(options: PermitPoolOptions): PermitPool {
  const { redis, breaker, key, node, nodes, logger } = options;
  let limit = 0;
  let granted = 0;
  let total = 0;
  let using = 0;
  let degraded = false;
  /**
   * End of the lease on this node's monotonic clock. It is measured from before the call to Redis, so the lease ends here before
   * it ends in Redis.
   */
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
      // A request that arrives during a call waits for the next call, which acquires permits for all waiting requests.
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

  /**
   * Requests permits from Redis. Returns false if more permits are in use than Redis granted. This happens if the node
   * granted its share during the call; the exchange must then be repeated.
   */
  async function exchange(): Promise<boolean> {
    const requests = waiting;
    waiting = [];
    const spare = Math.max(1, nodeShare(limit * spareShare, nodes()));
    const wanted = using + requests.length + spare;
    // The call may return spare permits to Redis: these permits must not be granted while it runs.
    granted = Math.min(granted, wanted);
    const startedAt = performance.now();
    let isEnough = true;
    try {
      const reply = await breaker().run(() =>
        runScript(redis, script, [key], [node, wanted, limit, permitLeaseMs]),
      );
      [granted = 0, total = 0] = reply as number[];
      leaseEndsAt = startedAt + permitLeaseMs;
      // If Redis granted all requested permits and they are too few, Redis may have more. The exchange is repeated, so that no
      // request is refused only because too few permits were requested.
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
