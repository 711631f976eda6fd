import type { Clock } from '../../runtime/time/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { RedisClient } from '../client.ts';
import { tags } from '../keys.ts';
import { readScript, runScript } from '../scripts.ts';

/** The nodes that share the limits, as leases in Redis, and the epoch of all that they pass along. */
export interface Nodes {
  /** Live nodes as of the last heartbeat that arrived, at least `nodesLeast`. */
  live(): number;
  epochMs(): number;
  /** What to add to this node's time for Redis's, as of the last prompt heartbeat: never too little, a round trip too much. */
  offsetMs(): number;
  /** Sends a heartbeat now. Rejects when it is not answered. */
  refresh(): Promise<void>;
  /** Sets the epoch of all: every window written before counts as empty. Rejects when Redis does not answer. */
  resetAll(): Promise<void>;
  close(): Promise<void>;
}

export interface NodesOptions {
  readonly redis: RedisClient;
  readonly keyPrefix: string;
  /** Null: only listens (a console, a reconciler); does not count as a node that grants. */
  readonly node: string | null;
  readonly nodesLeast: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const heartbeatIntervalMs = 1000;
/** A node that died is out of the count after this long. */
const leaseMs = 3500;
const heartbeatTimeoutMs = 900;
/** A heartbeat that took longer says too little about the clocks. */
const promptMs = 100;
const script = readScript('heartbeat');

export function createNodes({ redis, keyPrefix, node, nodesLeast, clock, logger }: NodesOptions): Nodes {
  const keys = [`${keyPrefix}:${tags.nodes}`, `${keyPrefix}:${tags.nodes}:epoch`];
  let live = nodesLeast;
  let epochMs = 0;
  let offsetMs = 0;
  let beating = false;
  const timer = setInterval(beat, heartbeatIntervalMs);
  timer.unref();
  redis.on('ready', beat);
  if (redis.status === 'ready') beat();
  return {
    live: () => live,
    epochMs: () => epochMs,
    offsetMs: () => offsetMs,
    refresh: () => exchange(leaseMs),
    resetAll: () => exchange(leaseMs, 1),
    close,
  };

  function beat(): void {
    // One at a time: a server that does not answer must not be sent a pile of heartbeats.
    if (beating) return;
    beating = true;
    const giveUp = setTimeout(() => (beating = false), heartbeatTimeoutMs);
    exchange(leaseMs)
      .catch((error: unknown) => logger.debug({ reason: messageOf(error) }, 'heartbeat failed'))
      .finally(() => {
        clearTimeout(giveUp);
        beating = false;
      });
  }

  async function exchange(holdMs: number, newEpoch = 0): Promise<void> {
    const sentAtMs = clock.now();
    const reply = await runScript(redis, script, keys, [node ?? '', holdMs, epochMs, newEpoch]);
    const [count = 0, epoch = 0, redisMs = 0] = reply as number[];
    const roundTripMs = clock.now() - sentAtMs;
    if (roundTripMs >= 0 && roundTripMs <= promptMs) offsetMs = redisMs - sentAtMs;
    live = Math.max(nodesLeast, count, 1);
    // Only ever forward: after Redis lost its data this node gives the epoch back.
    epochMs = Math.max(epochMs, epoch);
  }

  async function close(): Promise<void> {
    clearInterval(timer);
    redis.off('ready', beat);
    if (node === null || redis.status !== 'ready') return;
    await Promise.race([
      exchange(0).catch(() => undefined),
      new Promise((resolve) => setTimeout(resolve, heartbeatTimeoutMs).unref()),
    ]);
  }
}
