import type { LimitState } from '../../domain/limit.ts';
import type { DecidedCheck, QueuedCheck } from '../decision/dispatch.ts';
import type { Subject } from '../decision/subjects.ts';
import type { Shape } from '../decision/windows.ts';
import type { Registry } from '../../runtime/http/ops.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import { createUnitLeaseMetrics } from './metrics.ts';
import type { UnitLeaseMetrics } from './metrics.ts';
import { returnLeased } from './return-leased.ts';
import type { ReturnLeasedOptions } from './return-leased.ts';
import { UnitLease } from './unit-lease.ts';
import type { UnspentUnits } from './unit-lease.ts';

/** Leases of units: parts of large windows that this node spends without a call (decision 160). */
export interface UnitLeases {
  /** Decides a check from a lease. Returns null if the check has to go to Redis. */
  spend(subject: Subject, shape: Shape, cost: number): LimitState[] | null;
  /** Returns the check to send instead of `check`: if the caller is fast enough, with the request of a lease. */
  withRequest(check: QueuedCheck, subject: Subject): QueuedCheck;
  /** Ends the leases whose time is over; with `always`, all of them. Resolves when their unspent units are returned. */
  sweep(always?: boolean): Promise<void>;
}

interface UnitLeasesOptions {
  /** Monotonic time in milliseconds. */
  readonly nowMs: () => number;
  /** The global epoch of this node. */
  readonly epochMs: () => number;
  /** Returns units to the windows. Resolves with false if they stay charged. */
  readonly returnUnits: (unspent: UnspentUnits) => Promise<boolean>;
  readonly metrics: UnitLeaseMetrics;
}

/** Unspent units are returned at most this long after the end of their lease, also if their caller sends nothing more. */
const sweepIntervalMs = 100;
/** Shapes of one subject for which rates are measured: more only after many changes of its limits. */
const shapesMax = 16;

/** Creates leases that are swept by a timer. */
export function startUnitLeases(
  options: ReturnLeasedOptions & { readonly registry: Registry; readonly clock: Clock },
): UnitLeases & { close(): Promise<void> } {
  const { redisTime, clock, registry, epochMs } = options;
  const leases = createUnitLeases({
    // Tests with a time of their own set it by the clock. Elsewhere the clock may be set while a lease runs.
    nowMs: redisTime === undefined ? () => performance.now() : () => clock.now(),
    epochMs,
    returnUnits: (unspent) => returnLeased(options, unspent),
    metrics: createUnitLeaseMetrics(registry),
  });
  const timer = setInterval(() => void leases.sweep(), sweepIntervalMs);
  timer.unref();
  return {
    ...leases,
    close: () => {
      clearInterval(timer);
      return leases.sweep(true);
    },
  };
}

function createUnitLeases(options: UnitLeasesOptions): UnitLeases {
  const { nowMs, epochMs, metrics } = options;
  const active = new Set<UnitLease>();
  return { spend, withRequest, sweep };

  function spend(subject: Subject, shape: Shape, cost: number): LimitState[] | null {
    const states = leaseOf(subject, shape).spend(cost, nowMs(), epochMs());
    if (states !== null) metrics.spent(cost);
    return states;
  }

  function withRequest(check: QueuedCheck, subject: Subject): QueuedCheck {
    const lease = leaseOf(subject, check.shape);
    const sentAtMs = nowMs();
    const request = lease.request();
    if (request === null) return check;
    const epochOfAll = epochMs();
    const onDecided = (decided: DecidedCheck): void => {
      const grant = decided.lease ?? null;
      if (grant === null || grant.units === 0) {
        lease.notGranted();
        check.onDecided(decided);
        return;
      }
      metrics.granted(grant.units);
      const storedAtMs = decided.countedAtMs + request.lifeMs;
      const { states, unspent } = lease.begin(grant, { sentAtMs, storedAtMs, epochOfAll }, decided.states);
      active.add(lease);
      if (unspent !== null) void giveBack(unspent);
      check.onDecided({ ...decided, states });
    };
    return { ...check, lease: request, onDecided };
  }

  async function sweep(always = false): Promise<void> {
    await Promise.all([...active].map((lease) => end(lease, always)));
  }

  async function end(lease: UnitLease, always: boolean): Promise<void> {
    const unspent = lease.endIfOver(nowMs(), always);
    if (!lease.isActive()) active.delete(lease);
    if (unspent !== null) await giveBack(unspent);
  }

  async function giveBack(unspent: UnspentUnits): Promise<void> {
    if (await options.returnUnits(unspent)) metrics.returned(unspent.units);
  }

  function leaseOf(subject: Subject, shape: Shape): UnitLease {
    const leases = (subject.leases ??= new Map<Shape, UnitLease>());
    let lease = leases.get(shape);
    if (lease === undefined) {
      // A lease that is removed here is still in `active`, so its units are returned.
      if (leases.size >= shapesMax) leases.clear();
      leases.set(shape, (lease = new UnitLease(subject, shape)));
    }
    return lease;
  }
}
