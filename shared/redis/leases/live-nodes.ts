import type { Clock } from '../../runtime/time/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { messageOf } from '../../runtime/errors.ts';
import { withinOr } from '../../runtime/within.ts';
import type { RedisClient } from '../client.ts';
import { tags } from '../keys.ts';
import { readScript, runScript } from '../scripts.ts';

/**
 * The gateway nodes that share the limits, and the global epoch. Each node has a lease in Redis, which its heartbeats renew; a
 * heartbeat also exchanges the epoch.
 */
export interface LiveNodes {
  /** Number of live nodes in the reply to the last heartbeat, at least `nodesLeast`. */
  count(): number;
  epochMs(): number;
  /**
   * Redis's time minus this node's time in milliseconds, from the last heartbeat with a prompt reply: never too small, and too
   * large by one round trip at most.
   */
  offsetMs(): number;
  /** Sends a heartbeat now. Rejects when Redis does not answer. */
  refresh(): Promise<void>;
  /**
   * Starts a new global epoch, so that every window that was written earlier counts as empty. Rejects when Redis does not answer.
   */
  resetAll(): Promise<void>;
  close(): Promise<void>;
}

export interface LiveNodesOptions {
  readonly redis: RedisClient;
  readonly keyPrefix: string;
  /**
   * Name of this node. Null for a process that grants no requests (the console, the reconciler), so that it does not count as a
   * node.
   */
  readonly node: string | null;
  readonly nodesLeast: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const heartbeatIntervalMs = 1000;
/** A node without a heartbeat for this long no longer counts as live. */
const leaseMs = 3500;
const heartbeatTimeoutMs = 900;
/** A heartbeat with a longer round trip is not used to measure the difference between the clocks: it would be too inaccurate. */
export const promptMs = 100;
const script = readScript('heartbeat');

/**
 * Heartbeats bypass the circuit breaker, because a heartbeat must read the epoch before the breaker closes. While Redis is
 * unavailable, a node keeps its last number of live nodes.
 */
export function createLiveNodes(options: LiveNodesOptions): LiveNodes {
  const { redis, keyPrefix, node, nodesLeast, clock, logger } = options;
  const keys = [`${keyPrefix}:${tags.nodes}`, `${keyPrefix}:${tags.nodes}:epoch`];
  let count = nodesLeast;
  let epochMs = 0;
  let offsetMs = 0;
  let isInFlight = false;
  const timer = setInterval(sendHeartbeat, heartbeatIntervalMs);
  timer.unref();
  redis.on('ready', sendHeartbeat);
  if (redis.status === 'ready') sendHeartbeat();
  return {
    count: () => count,
    epochMs: () => epochMs,
    offsetMs: () => offsetMs,
    refresh: () => exchange(leaseMs),
    resetAll: () => exchange(leaseMs, 1),
    close,
  };

  function sendHeartbeat(): void {
    // Only one heartbeat is in flight, so that heartbeats do not queue up while a server does not answer.
    if (isInFlight) return;
    isInFlight = true;
    withinOr(exchange(leaseMs), heartbeatTimeoutMs, undefined)
      .catch((error: unknown) => logger.debug({ reason: messageOf(error) }, 'heartbeat failed'))
      .finally(() => (isInFlight = false));
  }

  async function exchange(holdMs: number, newEpoch = 0): Promise<void> {
    const sentAtMs = clock.now();
    const reply = await runScript(redis, script, keys, [node ?? '', holdMs, epochMs, newEpoch]);
    const [live = 0, epoch = 0, redisMs = 0] = reply as number[];
    const roundTripMs = clock.now() - sentAtMs;
    if (roundTripMs >= 0 && roundTripMs <= promptMs) offsetMs = redisMs - sentAtMs;
    count = Math.max(nodesLeast, live, 1);
    // The epoch is never lowered: after Redis lost its data, this node's heartbeats write the epoch into Redis again.
    epochMs = Math.max(epochMs, epoch);
  }

  async function close(): Promise<void> {
    clearInterval(timer);
    redis.off('ready', sendHeartbeat);
    if (node === null || redis.status !== 'ready') return;
    await withinOr(exchange(0), heartbeatTimeoutMs, undefined).catch(() => undefined);
  }
}
