import { LRUCache } from 'lru-cache';
import type { Logger } from '../../runtime/logger.ts';
import { messageOf } from '../../runtime/errors.ts';
import { callTimeoutMsDefault } from '../client.ts';
import type { RedisClient } from '../client.ts';
import { runLeases } from './leases.ts';

/** Requests in flight under the concurrent limit of one tenant, user or address: one lease each, kept alive here. */
export interface SubjectLeases {
  /** Never rejects, and answers within its bound: without Redis this node grants its share. */
  take(key: string, limit: number): Promise<TakenLease>;
  degraded(): boolean;
  close(): void;
}

export interface TakenLease {
  readonly granted: boolean;
  readonly live: number;
  readonly release: () => void;
}

export interface SubjectLeasesOptions {
  readonly redis: RedisClient;
  readonly node: string;
  readonly nodes: () => number;
  readonly logger: Logger;
  /** A call without an answer for this long is decided locally. */
  readonly callTimeoutMs?: number;
}

/** A request whose node died is forgotten after this long. */
export const requestLeaseMs = 10_000;
const renewIntervalMs = 3000;
/** After a call that failed, this long nobody waits for Redis again. */
const restMs = 500;
const subjectsMax = 20_000;

export function createSubjectLeases(options: SubjectLeasesOptions): SubjectLeases {
  const { redis, node, nodes, logger, callTimeoutMs = callTimeoutMsDefault } = options;
  /** Leases of this node that are in use, by subject: what is renewed, and what the local share is taken from. */
  const held = new LRUCache<string, Set<string>>({ max: subjectsMax });
  let sequence = 0;
  let restingUntil = 0;
  const timer = setInterval(renew, renewIntervalMs);
  timer.unref();
  return { take, degraded: () => performance.now() < restingUntil, close: () => clearInterval(timer) };

  async function take(key: string, limit: number): Promise<TakenLease> {
    const id = `${node}:${(sequence += 1)}`;
    if (performance.now() >= restingUntil) {
      try {
        const { done, live } = await call(key, 'acquire', limit, [id]);
        return done === 1 ? hold(key, id, live) : refused(live);
      } catch (error) {
        // It may have been counted nevertheless: then it is one too many until its lease ends.
        rest(error);
      }
    }
    const share = limit === 0 ? 0 : Math.max(1, Math.floor(limit / Math.max(1, nodes())));
    const own = held.get(key)?.size ?? 0;
    return own < share ? hold(key, id, own + 1) : refused(own);
  }

  function hold(key: string, id: string, live: number): TakenLease {
    let ids = held.get(key);
    if (ids === undefined) held.set(key, (ids = new Set<string>()));
    ids.add(id);
    return { granted: true, live, release };

    function release(): void {
      const current = held.get(key);
      if (current?.delete(id) !== true) return;
      if (current.size === 0) held.delete(key);
      if (performance.now() < restingUntil) return;
      call(key, 'release', 0, [id]).catch(rest);
    }
  }

  /** Requests that stream for long keep their lease; those taken while Redis was away get theirs now. */
  function renew(): void {
    for (const [key, ids] of held.entries()) {
      if (performance.now() < restingUntil) return;
      call(key, 'acquire', Number.MAX_SAFE_INTEGER, [...ids]).catch(rest);
    }
  }

  function call(key: string, what: 'acquire' | 'release', limit: number, ids: readonly string[]) {
    return runLeases(redis, key, what, { leaseMs: requestLeaseMs, limit, timeoutMs: callTimeoutMs }, ids);
  }

  function rest(error: unknown): void {
    restingUntil = performance.now() + restMs;
    logger.debug({ reason: messageOf(error) }, 'counting requests in flight locally');
  }
}

function refused(live: number): TakenLease {
  return { granted: false, live, release: () => undefined };
}
