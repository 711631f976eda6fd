import { Gauge } from 'prom-client';
import type { Limit, LimitState } from '../../domain/limit.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { Registry } from '../../runtime/http/ops.ts';
import type { RedisClient } from '../client.ts';
import { tags } from '../keys.ts';
import { SharePermit, createNodePermits } from './node-permits.ts';
import type { Permit } from './permit.ts';
import { createPermitPool } from './permit-pool.ts';
import type { PermitPool } from './permit-pool.ts';
import { createSubjectLeases } from './subject-leases.ts';
import { createSubjects } from '../decision/subjects.ts';
import type { Caller } from '../decision/subjects.ts';
import { shapeOf, windowOf } from '../decision/windows.ts';

export interface ConcurrencyOptions {
  readonly redis: RedisClient;
  readonly keyPrefix: string;
  /** Unique among live processes. */
  readonly node: string;
  /** Live nodes, as the limiter's `state().nodes`: what limits are divided by while Redis is away. */
  readonly nodes: () => number;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
  /** A call without an answer for this long is decided locally. */
  readonly callTimeoutMs?: number;
}

export interface Concurrency {
  /**
   * Takes a place under every `concurrent` limit of the list, or under none. Limits of other types are left out.
   * Answers without waiting where this node holds spare permits; never rejects.
   */
  acquire(limits: readonly Limit[], caller: Caller): Permit | Promise<Permit>;
  /** Requests in flight at this node under platform limits. */
  inUse(): number;
  close(): Promise<void>;
}

interface SplitLimits {
  readonly perNode: readonly Limit[];
  readonly concurrent: readonly Limit[];
}

interface Place {
  readonly limit: Limit;
  readonly granted: boolean;
  readonly live: number;
  readonly release: () => void;
}

/** What a refused client is told to wait: when a request ends elsewhere nobody can know. */
const retryAfterMs = 1000;

const noStates: readonly LimitState[] = [];

const none: Permit = {
  granted: true,
  states: noStates,
  full: noStates,
  degraded: false,
  release: () => undefined,
};

/**
 * Nearly every request: a place that this node has to spare. Its state is written only for who wants to read it. A class,
 * since an object literal with a getter costs several times as much to make.
 */
class SparePermit implements Permit {
  readonly granted = true;
  readonly full = noStates;
  readonly degraded: boolean;
  readonly #limit: Limit;
  readonly #pool: PermitPool;
  readonly #clock: Clock;
  #held = true;

  constructor(limit: Limit, pool: PermitPool, clock: Clock, degraded: boolean) {
    this.#limit = limit;
    this.#pool = pool;
    this.#clock = clock;
    this.degraded = degraded;
  }

  get states(): readonly LimitState[] {
    const place = { limit: this.#limit, granted: true, live: this.#pool.held() };
    return [stateOfPlace(place, this.#clock.now())];
  }

  release(): void {
    if (this.#held) this.#pool.give();
    this.#held = false;
  }
}

export function createConcurrency(options: ConcurrencyOptions): Concurrency {
  const { keyPrefix, clock, registry } = options;
  const pools = new Map<string, PermitPool>();
  const leases = createSubjectLeases(options);
  const subjects = createSubjects(keyPrefix);
  const nodePermits = createNodePermits(options.nodes);
  const split = new WeakMap<readonly Limit[], SplitLimits>();
  const inUse = (): number => [...pools.values()].reduce((sum, pool) => sum + pool.inUse(), 0);
  registerMetrics(registry, inUse);
  return { acquire, inUse, close };

  function acquire(limits: readonly Limit[], caller: Caller): Permit | Promise<Permit> {
    const { perNode, concurrent } = splitOf(limits);
    if (perNode.length === 0) return acquireShared(concurrent, caller);
    const { counted, full } = nodePermits.take(perNode, caller);
    const states = full.length === 0 ? noStates : full.map((limit) => stateOfFull(limit, clock.now()));
    if (states.some(({ mode }) => mode === 'enforce'))
      return { ...none, granted: false, states, full: states };
    const permit = acquireShared(concurrent, caller);
    return permit instanceof Promise
      ? permit.then((inner) => new SharePermit(inner, counted, states))
      : new SharePermit(permit, counted, states);
  }

  function acquireShared(concurrent: readonly Limit[], caller: Caller): Permit | Promise<Permit> {
    const first = concurrent[0];
    if (first === undefined) return none;
    if (concurrent.length > 1 || !isPlatform(first)) return acquireAll(concurrent, caller);
    const pool = poolOf(first);
    const taken = pool.take(Math.floor(first.limit));
    if (taken === true) return new SparePermit(first, pool, clock, leases.degraded() || pool.degraded());
    if (taken === false) return permitOf([placeIn(pool, first, false)]);
    return taken.then((granted) => permitOf([placeIn(pool, first, granted)]));
  }

  async function acquireAll(limits: readonly Limit[], caller: Caller): Promise<Permit> {
    const places: Place[] = [];
    for (const limit of limits) {
      places.push(isPlatform(limit) ? await takePlatform(limit) : await takeSubject(limit, caller));
    }
    return permitOf(places);
  }

  function takePlatform(limit: Limit): Place | Promise<Place> {
    const pool = poolOf(limit);
    const taken = pool.take(Math.floor(limit.limit));
    return typeof taken === 'boolean'
      ? placeIn(pool, limit, taken)
      : taken.then((granted) => placeIn(pool, limit, granted));
  }

  function placeIn(pool: PermitPool, limit: Limit, granted: boolean): Place {
    return { limit, granted, live: pool.held(), release: granted ? () => pool.give() : () => undefined };
  }

  function poolOf(limit: Limit): PermitPool {
    const name = windowOf(limit).field;
    let pool = pools.get(name);
    if (pool === undefined) {
      pool = createPermitPool({ ...options, key: `${keyPrefix}:${tags.global}:permits:${name}` });
      pools.set(name, pool);
    }
    return pool;
  }

  async function takeSubject(limit: Limit, caller: Caller): Promise<Place> {
    // The subject of a window is found by its shape; a concurrent limit has the same subjects.
    const { subjects: kinds } = shapeOf(
      asWindow(limit),
      caller.tenantId !== null,
      caller.userId !== null,
      'UTC',
    );
    const key = `${subjects.of(kinds[0] ?? 'global', caller).key}:leases:${windowOf(limit).field}`;
    const taken = await leases.take(key, Math.floor(limit.limit));
    return { limit, ...taken };
  }

  function permitOf(places: readonly Place[]): Permit {
    const granted = places.every((place) => place.granted || place.limit.mode === 'shadow');
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      for (const place of places) place.release();
    };
    if (!granted) release();
    const degraded = leases.degraded() || [...pools.values()].some((pool) => pool.degraded());
    const nowMs = clock.now();
    const states = places.map((place) => stateOfPlace(place, nowMs));
    return { granted, states, full: states.filter(({ violated }) => violated), degraded, release };
  }

  function splitOf(limits: readonly Limit[]): SplitLimits {
    let found = split.get(limits);
    if (found === undefined) {
      const all = limits.filter(({ type }) => type === 'concurrent');
      const isPerNode = ({ perNode }: Limit): boolean => perNode === true;
      found = { perNode: all.filter(isPerNode), concurrent: all.filter((limit) => !isPerNode(limit)) };
      split.set(limits, found);
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

const asWindows = new WeakMap<Limit, readonly Limit[]>();

function asWindow(limit: Limit): readonly Limit[] {
  let limits = asWindows.get(limit);
  if (limits === undefined) asWindows.set(limit, (limits = [{ ...limit, type: 'sliding' }]));
  return limits;
}

function stateOfPlace({ limit, granted, live }: Omit<Place, 'release'>, nowMs: number): LimitState {
  return {
    name: limit.name,
    limit: limit.limit,
    remaining: granted ? Math.max(0, limit.limit - live) : 0,
    resetAtMs: nowMs,
    windowMs: 0,
    burst: 0,
    violated: !granted,
    retryAfterMs: granted ? 0 : retryAfterMs,
    mode: limit.mode,
  };
}

function stateOfFull(limit: Limit, nowMs: number): LimitState {
  return stateOfPlace({ limit, granted: false, live: limit.limit }, nowMs);
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
