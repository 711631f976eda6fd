import { Gauge } from 'prom-client';
import type { Limit } from '../../domain/limit.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { Registry } from '../../runtime/http/ops.ts';
import type { RedisClient } from '../client.ts';
import { createSubjects } from '../decision/subjects.ts';
import type { Caller } from '../decision/subjects.ts';
import { subjectKind, windowOf } from '../decision/windows.ts';
import type { ServerBreakers } from '../fallback/server-breakers.ts';
import { tags } from '../keys.ts';
import { createNodePermits } from './node-permits.ts';
import { createPermitPool } from './permit-pool.ts';
import type { PermitPool } from './permit-pool.ts';
import { SharePermit, SparePermit, noStates, stateOfGrant, uncountedPermit } from './permits.ts';
import type { Grant, Permit } from './permits.ts';
import { createSubjectLeases } from './subject-leases.ts';

export interface ConcurrencyOptions {
  readonly redis: RedisClient;
  readonly breakerOf: ServerBreakers['of'];
  readonly keyPrefix: string;
  /** Name of this node, unique among live processes. */
  readonly node: string;
  /** Number of live nodes (the limiter's `state().nodes`), by which limits are divided while Redis is unavailable. */
  readonly nodes: () => number;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
}

export interface Concurrency {
  /**
   * Acquires a permit under every `concurrent` limit of the list, or under none. Limits of other types are left out. Returns
   * without waiting if this node holds spare permits. Never rejects.
   */
  acquire(limits: readonly Limit[], caller: Caller): Permit | Promise<Permit>;
  /** Number of requests in flight at this node under platform limits. */
  inUse(): number;
  close(): Promise<void>;
}

/** The `concurrent` limits of a list of limits. */
interface ConcurrentLimits {
  /** Limits that each node counts alone, in memory. */
  readonly perNode: readonly Limit[];
  /** Limits that all nodes count together, in Redis. */
  readonly shared: readonly Limit[];
}

interface ReleasableGrant extends Grant {
  readonly degraded: boolean;
  readonly release: () => void;
}

export function createConcurrency(options: ConcurrencyOptions): Concurrency {
  const { keyPrefix, breakerOf, clock, registry } = options;
  const pools = new Map<string, PermitPool>();
  const leases = createSubjectLeases(options);
  const subjects = createSubjects(keyPrefix);
  const nodePermits = createNodePermits(options.nodes);
  const concurrentOf = new WeakMap<readonly Limit[], ConcurrentLimits>();
  const inUse = (): number => [...pools.values()].reduce((sum, pool) => sum + pool.inUse(), 0);
  registerMetrics(registry, inUse);
  return { acquire, inUse, close };

  function acquire(limits: readonly Limit[], caller: Caller): Permit | Promise<Permit> {
    const { perNode, shared } = concurrentLimitsOf(limits);
    if (perNode.length === 0) return acquireShared(shared, caller);
    const { counted, full } = nodePermits.acquire(perNode, caller);
    const states =
      full.length === 0
        ? noStates
        : full.map((limit) => stateOfGrant({ limit, granted: false, live: limit.limit }, clock.now()));
    if (states.some(({ mode }) => mode === 'enforce'))
      return { ...uncountedPermit, granted: false, states, full: states };
    const permit = acquireShared(shared, caller);
    return permit instanceof Promise
      ? permit.then((inner) => new SharePermit(inner, counted, states))
      : new SharePermit(permit, counted, states);
  }

  function acquireShared(limits: readonly Limit[], caller: Caller): Permit | Promise<Permit> {
    const [first] = limits;
    if (first === undefined) return uncountedPermit;
    if (limits.length > 1 || !isPlatform(first)) return acquireEach(limits, caller);
    const pool = poolOf(first);
    const granted = pool.acquire(Math.floor(first.limit));
    if (granted === true) return new SparePermit(first, pool, clock);
    if (granted === false) return permitOf([grantOf(pool, first, false)]);
    return granted.then((isGranted) => permitOf([grantOf(pool, first, isGranted)]));
  }

  async function acquireEach(limits: readonly Limit[], caller: Caller): Promise<Permit> {
    const grants: ReleasableGrant[] = [];
    for (const limit of limits) {
      grants.push(isPlatform(limit) ? await acquirePlatform(limit) : await acquireLease(limit, caller));
    }
    return permitOf(grants);
  }

  async function acquirePlatform(limit: Limit): Promise<ReleasableGrant> {
    const pool = poolOf(limit);
    return grantOf(pool, limit, await pool.acquire(Math.floor(limit.limit)));
  }

  function grantOf(pool: PermitPool, limit: Limit, granted: boolean): ReleasableGrant {
    const release = granted ? () => pool.release() : () => undefined;
    return { limit, granted, live: pool.held(), degraded: pool.degraded(), release };
  }

  function poolOf(limit: Limit): PermitPool {
    const { field } = windowOf(limit);
    let pool = pools.get(field);
    if (pool === undefined) {
      const key = `${keyPrefix}:${tags.global}:permits:${field}`;
      pool = createPermitPool({ ...options, breaker: () => breakerOf(tags.global), key });
      pools.set(field, pool);
    }
    return pool;
  }

  async function acquireLease(limit: Limit, caller: Caller): Promise<ReleasableGrant> {
    const kind = subjectKind(limit, caller.tenantId !== null, caller.userId !== null);
    const subject = subjects.of(kind, caller);
    return { limit, ...(await leases.acquire(subject, windowOf(limit).field, Math.floor(limit.limit))) };
  }

  function permitOf(grants: readonly ReleasableGrant[]): Permit {
    const granted = grants.every((grant) => grant.granted || grant.limit.mode === 'shadow');
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      for (const grant of grants) grant.release();
    };
    if (!granted) release();
    const degraded = grants.some((grant) => grant.degraded);
    const nowMs = clock.now();
    const states = grants.map((grant) => stateOfGrant(grant, nowMs));
    return { granted, states, full: states.filter(({ violated }) => violated), degraded, release };
  }

  function concurrentLimitsOf(limits: readonly Limit[]): ConcurrentLimits {
    let found = concurrentOf.get(limits);
    if (found === undefined) {
      const all = limits.filter(({ type }) => type === 'concurrent');
      const isPerNode = ({ perNode }: Limit): boolean => perNode === true;
      found = { perNode: all.filter(isPerNode), shared: all.filter((limit) => !isPerNode(limit)) };
      concurrentOf.set(limits, found);
    }
    return found;
  }

  async function close(): Promise<void> {
    leases.close();
    nodePermits.close();
    await Promise.all([...pools.values()].map((pool) => pool.close()));
  }
}

function isPlatform({ per }: Limit): boolean {
  return per.every((part) => part === 'global');
}

function registerMetrics(registry: Registry, inUse: () => number): void {
  new Gauge({
    name: 'tollgate_requests_in_flight',
    help: 'Requests of this node that hold a permit of a platform limit.',
    registers: [registry],
    collect() {
      this.set(inUse());
    },
  });
}
