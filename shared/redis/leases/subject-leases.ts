import { LRUCache } from 'lru-cache';
import type { Logger } from '../../runtime/logger.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { RedisClient } from '../client.ts';
import type { Subject } from '../decision/subjects.ts';
import { nodeShare } from '../fallback/node-share.ts';
import type { ServerBreakers } from '../fallback/server-breakers.ts';
import { runLeases } from './leases.ts';
import type { LeaseReply } from './leases.ts';

/**
 * Counts the requests in flight under a concurrent limit of a tenant, user or address. Each request has a lease in Redis, which
 * this node renews.
 */
export interface SubjectLeases {
  /**
   * Acquires a lease for one request. Never rejects, and waits for Redis no longer than a check does: without Redis, this node
   * grants its share of the limit.
   */
  acquire(subject: Subject, field: string, limit: number): Promise<SubjectLease>;
  close(): void;
}

export interface SubjectLease {
  readonly granted: boolean;
  readonly live: number;
  /** True when this node decided without Redis. */
  readonly degraded: boolean;
  readonly release: () => void;
}

export interface SubjectLeasesOptions {
  readonly redis: RedisClient;
  readonly breakerOf: ServerBreakers['of'];
  readonly node: string;
  readonly nodes: () => number;
  readonly logger: Logger;
}

/** Leases that this node holds under one key. */
interface Held {
  readonly tag: string;
  readonly ids: Set<string>;
}

/** Length of a lease: if the node of a request dies, its lease ends after this time. */
export const requestLeaseMs = 10_000;
const renewIntervalMs = 3000;
const keysMax = 20_000;

export function createSubjectLeases(options: SubjectLeasesOptions): SubjectLeases {
  const { redis, breakerOf, node, nodes, logger } = options;
  /**
   * This node's leases by key. They are renewed, and while Redis is unavailable their number is compared with this node's share.
   */
  const heldByKey = new LRUCache<string, Held>({ max: keysMax });
  let sequence = 0;
  const timer = setInterval(renewAll, renewIntervalMs);
  timer.unref();
  return { acquire, close: () => clearInterval(timer) };

  async function acquire(subject: Subject, field: string, limit: number): Promise<SubjectLease> {
    const key = `${subject.key}:leases:${field}`;
    const id = `${node}:${(sequence += 1)}`;
    try {
      const { done, live } = await call(subject.tag, key, 'acquire', limit, [id]);
      return done === 1 ? hold(subject.tag, key, id, live, false) : refusedLease(live, false);
    } catch (error) {
      // Redis may have acquired the lease although its reply was lost. Redis then counts one lease too many until this lease
      // ends.
      logDebug(error);
    }
    const own = heldByKey.get(key)?.ids.size ?? 0;
    return own < nodeShare(limit, nodes())
      ? hold(subject.tag, key, id, own + 1, true)
      : refusedLease(own, true);
  }

  function hold(tag: string, key: string, id: string, live: number, degraded: boolean): SubjectLease {
    let held = heldByKey.get(key);
    if (held === undefined) heldByKey.set(key, (held = { tag, ids: new Set<string>() }));
    held.ids.add(id);
    return { granted: true, live, degraded, release };

    function release(): void {
      const current = heldByKey.get(key);
      if (current?.ids.delete(id) !== true) return;
      if (current.ids.size === 0) heldByKey.delete(key);
      call(tag, key, 'release', 0, [id]).catch(logDebug);
    }
  }

  /** Renews the leases of long requests, and adds leases to Redis that this node granted while Redis was unavailable. */
  function renewAll(): void {
    for (const [key, { tag, ids }] of heldByKey.entries()) {
      if (breakerOf(tag).isOpen()) continue;
      call(tag, key, 'acquire', Number.MAX_SAFE_INTEGER, [...ids]).catch(logDebug);
    }
  }

  function call(
    tag: string,
    key: string,
    operation: 'acquire' | 'release',
    limit: number,
    ids: readonly string[],
  ): Promise<LeaseReply> {
    return breakerOf(tag).run(() =>
      runLeases(redis, key, operation, { leaseMs: requestLeaseMs, limit }, ids),
    );
  }

  function logDebug(error: unknown): void {
    logger.debug({ reason: messageOf(error) }, 'requests in flight are counted locally');
  }
}

function refusedLease(live: number, degraded: boolean): SubjectLease {
  return { granted: false, live, degraded, release: () => undefined };
}
