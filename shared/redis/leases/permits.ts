import type { Limit, LimitState } from '../../domain/limit.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import type { InFlight } from './node-permits.ts';
import type { PermitPool } from './permit-pool.ts';

/** Result of acquiring a permit for a request in flight: granted or refused. */
export interface Permit {
  readonly granted: boolean;
  /** One state for each concurrent limit, in order. */
  readonly states: readonly LimitState[];
  /** States of the limits without a free permit, including limits in shadow mode. */
  readonly full: readonly LimitState[];
  /** True when at least one limit was decided without Redis. */
  readonly degraded: boolean;
  /** Releases the permit. Call it when the request has ended, also after an error. A second call does nothing. */
  release(): void;
}

/** Fixed `Retry-After` of a refusal, because no node can predict when another request ends. */
const retryAfterMs = 1000;

export const noStates: readonly LimitState[] = [];

/** Permit of a request to which no concurrent limit applies. */
export const uncountedPermit: Permit = {
  granted: true,
  states: noStates,
  full: noStates,
  degraded: false,
  release: () => undefined,
};

/**
 * A spare permit of this node's pool, which nearly every request gets. Its state is computed only when it is read. It is a class,
 * because creating an object literal with a getter takes several times as long.
 */
export class SparePermit implements Permit {
  readonly granted = true;
  readonly full = noStates;
  readonly degraded: boolean;
  readonly #limit: Limit;
  readonly #pool: PermitPool;
  readonly #clock: Clock;
  #held = true;

  constructor(limit: Limit, pool: PermitPool, clock: Clock) {
    this.#limit = limit;
    this.#pool = pool;
    this.#clock = clock;
    this.degraded = pool.degraded();
  }

  get states(): readonly LimitState[] {
    const grant = { limit: this.#limit, granted: true, live: this.#pool.held() };
    return [stateOfGrant(grant, this.#clock.now())];
  }

  release(): void {
    if (this.#held) this.#pool.release();
    this.#held = false;
  }
}

/** Permit of a request that also counts in its tenant's share and its address's share of the platform. */
export class SharePermit implements Permit {
  readonly #inner: Permit;
  readonly #counted: readonly InFlight[];
  readonly #full: readonly LimitState[];
  #held = true;

  /**
   * `counted`: the counters of the shares, which include the request. `full`: the states of the full shares, all in shadow mode.
   * Lowers the counters at once if the inner permit was refused.
   */
  constructor(inner: Permit, counted: readonly InFlight[], full: readonly LimitState[]) {
    this.#inner = inner;
    this.#counted = counted;
    this.#full = full;
    if (!inner.granted) this.release();
  }

  get granted(): boolean {
    return this.#inner.granted;
  }

  get states(): readonly LimitState[] {
    return this.#inner.states;
  }

  get full(): readonly LimitState[] {
    return this.#full.length === 0 ? this.#inner.full : [...this.#full, ...this.#inner.full];
  }

  get degraded(): boolean {
    return this.#inner.degraded;
  }

  release(): void {
    if (this.#held) for (const inFlight of this.#counted) inFlight.count -= 1;
    this.#held = false;
    this.#inner.release();
  }
}

/** Result of one concurrent limit. `live` is the number of its requests in flight, from Redis's last reply to this node. */
export interface Grant {
  readonly limit: Limit;
  readonly granted: boolean;
  readonly live: number;
}

export function stateOfGrant({ limit, granted, live }: Grant, nowMs: number): LimitState {
  return {
    name: limit.name,
    of: limit.of,
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
