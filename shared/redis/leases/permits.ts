import type { Limit, LimitState } from '../../domain/limit.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import type { InFlight } from './node-permits.ts';
import type { PermitPool } from './permit-pool.ts';

/** A permit of a request in flight, or its refusal. */
export interface Permit {
  readonly granted: boolean;
  /** One per concurrent limit, in order. */
  readonly states: readonly LimitState[];
  /** The states of the limits without a free permit, shadow ones included. */
  readonly full: readonly LimitState[];
  /** True when a limit was decided without Redis. */
  readonly degraded: boolean;
  /** Releases the permit when the request is over, however it ended. The second call does nothing. */
  release(): void;
}

/** The wait that a refused client is advised: no node can predict when a request elsewhere ends. */
const retryAfterMs = 1000;

export const noStates: readonly LimitState[] = [];

/** The permit of a request that no concurrent limit counts. */
export const uncountedPermit: Permit = {
  granted: true,
  states: noStates,
  full: noStates,
  degraded: false,
  release: () => undefined,
};

/**
 * A spare permit of this node's pool: the permit of nearly every request. Its state is computed only when it is read. A
 * class, since an object literal with a getter takes several times as long to create.
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

/** The permit of a request that also counts under its tenant's and its address's share of the platform. */
export class SharePermit implements Permit {
  readonly #inner: Permit;
  readonly #counted: readonly InFlight[];
  readonly #full: readonly LimitState[];
  #held = true;

  /** `full`: the states of the full limits, all in shadow. Releases the share where the inner permit was refused. */
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

/** What one concurrent limit granted or refused. `live`: its requests in flight, as of the last reply to this node. */
export interface Grant {
  readonly limit: Limit;
  readonly granted: boolean;
  readonly live: number;
}

export function stateOfGrant({ limit, granted, live }: Grant, nowMs: number): LimitState {
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
