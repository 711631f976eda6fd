import type { LimitState } from '../../domain/limit.ts';
import type { Shape } from '../decision/windows.ts';
import { CheckRate } from './check-rate.ts';
import type { LeasePlan } from './check-rate.ts';

/** The hash that holds the windows of a lease, and its hash tag. */
interface LeasedSubject {
  readonly key: string;
  readonly tag: string;
}

/** What a node requests, beside a check or by itself. */
export interface LeaseRequest {
  readonly units: number;
  /** Milliseconds from the moment at which Redis runs the check to the end of the lease. */
  readonly lifeMs: number;
  /** Unspent units of the leases that the node has: with the new lease they are at most the part of a window that a node may hold. */
  readonly heldUnits: number;
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
  /** A renewal is due when this many units are left, or at this monotonic time. */
  readonly lowUnits: number;
  readonly renewAtMs: number;
  /** False for a small lease, and after a renewal that was not granted: the next lease is then requested beside a check. */
  isRenewable: boolean;
}

/**
 * The units that one node has leased for the calls of one caller to one shape: at most two leases, of which the older one is spent
 * first. Times are monotonic.
 */
export class UnitLease {
  readonly subject: LeasedSubject;
  readonly shape: Shape;
  readonly #rate: CheckRate;
  readonly #onUnspent: (unspent: UnspentUnits) => void;
  #current: CurrentLease | null = null;
  /** The renewal, which was granted before the end of the current lease. */
  #next: CurrentLease | null = null;
  /** The plan of the lease that is requested; null if none is. */
  #requested: LeasePlan | null = null;
  /** True from the moment at which a renewal is due until it is sent. */
  #isRenewing = false;

  /** `onUnspent` receives the units of each lease that ends before it has spent them. */
  constructor(subject: LeasedSubject, shape: Shape, onUnspent: (unspent: UnspentUnits) => void) {
    this.subject = subject;
    this.shape = shape;
    this.#rate = new CheckRate(shape.leaseMs);
    this.#onUnspent = onUnspent;
  }

  /**
   * Spends units of a lease. Returns the states of the limits afterwards, or null if the check has to go to Redis. `epochOfAll` is
   * the global epoch of this node: a global reset ends the leases.
   */
  spend(cost: number, nowMs: number, epochOfAll: number): LimitState[] | null {
    this.#rate.count(cost, nowMs);
    let lease = this.#current;
    if (lease === null) return null;
    if (!canPay(lease, cost, nowMs, epochOfAll)) {
      const next = this.#next;
      if (next === null) return null;
      // A lease with fewer units than this check costs stays for smaller checks.
      if (!canPay(lease, 1, nowMs, epochOfAll)) this.#endCurrent();
      if (!canPay(next, cost, nowMs, epochOfAll)) return null;
      lease = next;
    }
    lease.left -= cost;
    return statesWith(lease.states, lease.left);
  }

  /**
   * Returns true if the newest lease is nearly spent or nearly over, and marks its renewal as due: `renew` must be called within a
   * small part of the life of a lease.
   */
  startRenewal(nowMs: number): boolean {
    const newest = this.#next ?? this.#current;
    if (newest === null || (newest.left > newest.lowUnits && nowMs < newest.renewAtMs)) return false;
    if (!newest.isRenewable || this.#isRequested()) return false;
    return (this.#isRenewing = true);
  }

  /** Returns the lease to request for the renewal that is due; null if the caller has become too slow. */
  renew(): LeaseRequest | null {
    this.#isRenewing = false;
    const request = this.#newRequest();
    if (request === null) this.#stopRenewal();
    return request;
  }

  /**
   * Returns the lease to request beside a check that could not be spent; null if the caller is too slow or a request is on its way.
   */
  request(): LeaseRequest | null {
    return this.#isRequested() ? null : this.#newRequest();
  }

  /** Redis replied without a lease, or did not reply. A renewal is not repeated for the same lease. */
  notGranted(): void {
    this.#requested = null;
    this.#stopRenewal();
  }

  /** Begins a lease that was requested at `sentAtMs`. Returns the states for a check beside it. Of three leases, the first ends. */
  begin(
    { units, epoch }: LeaseGrant,
    { sentAtMs, storedAtMs, epochOfAll }: { sentAtMs: number; storedAtMs: number; epochOfAll: number },
    states: readonly LimitState[],
  ): LimitState[] {
    const plan = this.#requested;
    this.#requested = null;
    // Redis ran the check after it was sent, so its lease ends later than this.
    const endsAtMs = sentAtMs + this.shape.leaseMs;
    const lease: CurrentLease = {
      ...{ left: units, endsAtMs, storedAtMs, epoch, epochOfAll, states },
      lowUnits: plan?.lowUnits ?? 0,
      renewAtMs: endsAtMs - (plan?.leadMs ?? 0),
      // If too few units are left in a window, leases are small, and a renewal of each would cost a call for few checks.
      isRenewable: plan !== null && units * 2 >= plan.units,
    };
    if (this.#next !== null) this.#endCurrent();
    if (this.#current === null) this.#current = lease;
    else this.#next = lease;
    return statesWith(states, units);
  }

  /** Ends the leases whose time is over, or all if `always`. */
  endIfOver(nowMs: number, always = false): void {
    while (this.#current !== null && (always || nowMs >= this.#current.endsAtMs)) this.#endCurrent();
  }

  isActive(): boolean {
    return this.#current !== null;
  }

  #isRequested(): boolean {
    return this.#isRenewing || this.#requested !== null;
  }

  #stopRenewal(): void {
    const newest = this.#next ?? this.#current;
    if (newest !== null) newest.isRenewable = false;
  }

  #newRequest(): LeaseRequest | null {
    const plan = this.#rate.plan();
    if (plan === null) return null;
    this.#requested = plan;
    const heldUnits = (this.#current?.left ?? 0) + (this.#next?.left ?? 0);
    return { units: plan.units, lifeMs: this.shape.leaseMs, heldUnits };
  }

  #endCurrent(): void {
    const lease = this.#current;
    this.#current = this.#next;
    this.#next = null;
    if (lease === null || lease.left === 0) return;
    const { left, storedAtMs, epoch } = lease;
    this.#onUnspent({ subject: this.subject, shape: this.shape, units: left, storedAtMs, epoch });
  }
}

function canPay(lease: CurrentLease, cost: number, nowMs: number, epochOfAll: number): boolean {
  return lease.left >= cost && nowMs < lease.endsAtMs && lease.epochOfAll === epochOfAll;
}

/** Units of a lease that are not spent are left to this node. */
function statesWith(states: readonly LimitState[], left: number): LimitState[] {
  const spent: LimitState[] = [];
  for (const state of states) spent.push({ ...state, remaining: state.remaining + left });
  return spent;
}
