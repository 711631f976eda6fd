import type { LimitState } from '../../domain/limit.ts';
import type { Shape } from '../decision/windows.ts';

/** The hash that holds the windows of a lease, and its hash tag. */
interface LeasedSubject {
  readonly key: string;
  readonly tag: string;
}

/** What a node requests beside a check. */
export interface LeaseRequest {
  readonly units: number;
  /** Milliseconds from the moment at which Redis runs the check to the end of the lease. */
  readonly lifeMs: number;
}

/** A granted lease, as Redis replied. */
export interface LeaseGrant {
  /** 0: no lease was granted. */
  readonly units: number;
  /** Epoch of the windows: after a reset, they do not count the units any more. */
  readonly epoch: number;
}

/** Units of a lease that has ended without spending them. The windows of the shape count them. */
export interface UnspentUnits {
  readonly subject: LeasedSubject;
  readonly shape: Shape;
  readonly units: number;
  /** Timestamp with which Redis stored the units, Unix milliseconds. */
  readonly storedAtMs: number;
  readonly epoch: number;
}

interface Interval {
  checks: number;
  units: number;
}

interface CurrentLease {
  left: number;
  /** Monotonic time of this process. */
  readonly endsAtMs: number;
  readonly storedAtMs: number;
  readonly epoch: number;
  /** The global epoch of this node when the lease was granted. */
  readonly epochOfAll: number;
  /** The states after the grant, in which the leased units are used. */
  readonly states: readonly LimitState[];
}

/** The least number of units that a node leases: a smaller lease saves too few calls. `lease.lua` has the same number. */
export const leaseUnitsMin = 16;
/** The least number of checks in an interval: a lease of the size of one large check would save no call for the next one. */
export const leaseChecksMin = 4;
const leaseUnitsMax = 1_000_000_000;

/** The units that one node has leased for the calls of one caller to one shape, and the caller's recent rate. Times are monotonic. */
export class UnitLease {
  readonly subject: LeasedSubject;
  readonly shape: Shape;
  #current: CurrentLease | null = null;
  #isRequested = false;
  /** Checks in this interval of the length of a lease, and in the interval before. */
  readonly #interval: Interval = { checks: 0, units: 0 };
  readonly #intervalBefore: Interval = { checks: 0, units: 0 };
  #intervalAtMs = -Infinity;

  constructor(subject: LeasedSubject, shape: Shape) {
    this.subject = subject;
    this.shape = shape;
  }

  /**
   * Spends units of the lease. Returns the states of the limits afterwards, or null if the check has to go to Redis. `epochOfAll` is
   * the global epoch of this node: a global reset ends the lease.
   */
  spend(cost: number, nowMs: number, epochOfAll: number): LimitState[] | null {
    this.#countUnits(cost, nowMs);
    const lease = this.#current;
    if (lease === null || lease.left < cost || nowMs >= lease.endsAtMs || lease.epochOfAll !== epochOfAll) {
      return null;
    }
    lease.left -= cost;
    return statesWith(lease.states, lease.left);
  }

  /**
   * Returns the lease to request beside a check that could not be spent; null if the caller is too slow or a request is on its way.
   * A lease with fewer units than the check costs stays until the next one is granted, for smaller checks.
   */
  request(): LeaseRequest | null {
    if (this.#isRequested) return null;
    const units = Math.min(Math.max(unitsOf(this.#interval), unitsOf(this.#intervalBefore)), leaseUnitsMax);
    if (units < leaseUnitsMin) return null;
    this.#isRequested = true;
    return { units, lifeMs: this.shape.leaseMs };
  }

  /** The check of a request was decided without a lease. */
  notGranted(): void {
    this.#isRequested = false;
  }

  /** Begins a lease that was requested at `sentAtMs`. Returns the states for the check beside it, and what the lease before left. */
  begin(
    grant: LeaseGrant,
    { sentAtMs, storedAtMs, epochOfAll }: { sentAtMs: number; storedAtMs: number; epochOfAll: number },
    states: readonly LimitState[],
  ): { states: LimitState[]; unspent: UnspentUnits | null } {
    this.#isRequested = false;
    const unspent = this.#end();
    const { units, epoch } = grant;
    // Redis ran the check after it was sent, so its lease ends later than this.
    const endsAtMs = sentAtMs + this.shape.leaseMs;
    this.#current = { left: units, endsAtMs, storedAtMs, epoch, epochOfAll, states };
    return { states: statesWith(states, units), unspent };
  }

  /** Ends the lease if its time is over, or if `always`. Returns the units that were not spent; null if there are none. */
  endIfOver(nowMs: number, always = false): UnspentUnits | null {
    return always || this.#isOver(nowMs) ? this.#end() : null;
  }

  isActive(): boolean {
    return this.#current !== null;
  }

  #isOver(nowMs: number): boolean {
    return this.#current !== null && nowMs >= this.#current.endsAtMs;
  }

  #end(): UnspentUnits | null {
    const lease = this.#current;
    this.#current = null;
    if (lease === null || lease.left === 0) return null;
    const { left, storedAtMs, epoch } = lease;
    return { subject: this.subject, shape: this.shape, units: left, storedAtMs, epoch };
  }

  #countUnits(cost: number, nowMs: number): void {
    const sinceMs = nowMs - this.#intervalAtMs;
    if (sinceMs >= this.shape.leaseMs) {
      const { checks, units } = this.#interval;
      const isAdjacent = sinceMs < 2 * this.shape.leaseMs;
      this.#intervalBefore.checks = isAdjacent ? checks : 0;
      this.#intervalBefore.units = isAdjacent ? units : 0;
      this.#interval.checks = this.#interval.units = 0;
      this.#intervalAtMs = nowMs;
    }
    this.#interval.checks += 1;
    this.#interval.units += cost;
  }
}

/** Units of an interval that count for the size of a lease. */
function unitsOf({ checks, units }: Interval): number {
  return checks < leaseChecksMin ? 0 : units;
}

/** Units of a lease that are not spent are left to this node. */
function statesWith(states: readonly LimitState[], left: number): LimitState[] {
  return states.map((state) => ({ ...state, remaining: state.remaining + left }));
}
