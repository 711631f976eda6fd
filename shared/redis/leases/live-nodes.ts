import type { Clock } from '../../runtime/time/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { messageOf } from '../../runtime/errors.ts';
import { withinOr } from '../../runtime/within.ts';
import type { RedisClient } from '../client.ts';
import { tags } from '../keys.ts';
import { readScript, runScript } from '../scripts.ts';

/** The gateway nodes that share the limits, each a lease in Redis, and the global epoch that they exchange. */
export interface LiveNodes {
  /** Live nodes as of the last heartbeat that arrived, at least `nodesLeast`. */
  count(): number;
  epochMs(): number;
  /**
   * Redis's time minus this node's, as of the last prompt heartbeat: never too little, and at most one round trip too much.
   */
  offsetMs(): number;
  /** Sends a heartbeat now. Rejects when Redis does not answer. */
  refresh(): Promise<void>;
  /** Starts a new global epoch: every window written before counts as empty. Rejects when Redis does not answer. */
  resetAll(): Promise<void>;
  close(): Promise<void>;
}

export interface LiveNodesOptions {
  readonly redis: RedisClient;
  readonly keyPrefix: string;
  /** Null for a process that only reads (a console, a reconciler): it does not count as a node that grants. */
  readonly node: string | null;
  readonly nodesLeast: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const heartbeatIntervalMs = 1000;
/** A node that died leaves the count after this long. */
const leaseMs = 3500;
const heartbeatTimeoutMs = 900;
/** A slower heartbeat says too little about the difference of the clocks. */
const promptMs = 100;
const script = readScript('heartbeat');

/**
 * Heartbeats do not pass the circuit breaker: the breaker needs a fresh epoch before it closes, and a node keeps its last
 * count while Redis is unavailable.
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
    // One at a time: heartbeats must not pile up at a server that does not answer.
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
    // Only ever forward: after Redis lost its data this node brings the epoch back.
    epochMs = Math.max(epochMs, epoch);
  }

  async function close(): Promise<void> {
    clearInterval(timer);
    redis.off('ready', sendHeartbeat);
    if (node === null || redis.status !== 'ready') return;
    await withinOr(exchange(0), heartbeatTimeoutMs, undefined).catch(() => undefined);
  }
}
