import type { LimitState } from '../../domain/limit.ts';
import type { CheckRequest } from '../decision/check.ts';
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
import type { LeaseRequest, UnspentUnits } from './unit-lease.ts';

/** Leases of units: parts of large windows that this node spends without a call (decision 160). */
export interface UnitLeases {
  /** Decides a check from a lease, and renews the lease if little is left of it. Returns null if the check has to go to Redis. */
  spend(subject: Subject, shape: Shape, cost: number): LimitState[] | null;
  /** Returns the check of one subject to send instead of `check`: if the caller is fast enough, with the request of a lease. */
  withRequest(check: QueuedCheck): QueuedCheck;
  /**
   * Sends the renewals that are due. Called after a check is enqueued, so that they share its call, and their replies state what is
   * left after the check.
   */
  sendRenewals(): void;
  /** Ends all leases. Resolves when their unspent units are returned, also those of renewals on their way. */
  close(): Promise<void>;
}

interface DueRenewal {
  readonly lease: UnitLease;
  readonly subject: Subject;
}

interface UnitLeasesOptions {
  /** Monotonic time in milliseconds. */
  readonly nowMs: () => number;
  /** The global epoch of this node. */
  readonly epochMs: () => number;
  /** Sends a check together with all others of this event-loop iteration. */
  readonly enqueue: (check: QueuedCheck) => void;
  /** Returns units to the windows. Resolves with false if they stay charged; never rejects. */
  readonly returnUnits: (unspent: UnspentUnits) => Promise<boolean>;
  readonly metrics: UnitLeaseMetrics;
}

/** Unspent units are returned at most this long after the end of their lease, also if their caller sends nothing more. */
const sweepIntervalMs = 100;
/** Shapes of one subject for which rates are measured: more only after many changes of its limits. */
const shapesMax = 16;
/** Renewals wait for each other this long, so that they share calls. */
const renewalDelayMs = 10;
/** A lease with a shorter life is renewed at once: the delay is a part of the time that is left to a lease when its renewal is due. */
const delayedLeaseMsMin = 25 * renewalDelayMs;

/** The check of a renewal, which charges the units of its lease only. */
const renewalRequest: CheckRequest = {
  ...{ tenantId: null, userId: null, ip: '', limits: [], cost: 0, peek: false },
};

/** Creates leases that are swept by a timer. */
export function startUnitLeases(
  options: ReturnLeasedOptions &
    Pick<UnitLeasesOptions, 'enqueue'> & { readonly registry: Registry; readonly clock: Clock },
): UnitLeases {
  const { redisTime, clock, registry, epochMs, enqueue } = options;
  const leases = createUnitLeases({
    // Tests with a time of their own set it by the clock. Elsewhere the clock may be set while a lease runs.
    nowMs: redisTime === undefined ? () => performance.now() : () => clock.now(),
    epochMs,
    enqueue,
    returnUnits: (unspent) => returnLeased(options, unspent),
    metrics: createUnitLeaseMetrics(registry),
  });
  const timer = setInterval(leases.sweep, sweepIntervalMs);
  timer.unref();
  return {
    ...leases,
    close: () => {
      clearInterval(timer);
      return leases.close();
    },
  };
}

function createUnitLeases(options: UnitLeasesOptions): UnitLeases & { readonly sweep: () => void } {
  const { nowMs, epochMs, metrics } = options;
  const active = new Set<UnitLease>();
  /** Renewals and returns that wait for Redis. */
  const inFlight = new Set<Promise<unknown>>();
  let due: DueRenewal[] = [];
  let dueTimer: NodeJS.Timeout | null = null;
  let isClosed = false;
  return { spend, withRequest, sendRenewals, sweep, close };

  function spend(subject: Subject, shape: Shape, cost: number): LimitState[] | null {
    const lease = leaseOf(subject, shape);
    const atMs = nowMs();
    const states = lease.spend(cost, atMs, epochMs());
    if (states === null) return null;
    metrics.spent(cost);
    if (lease.startRenewal(atMs)) addRenewal({ lease, subject });
    return states;
  }

  function withRequest(check: QueuedCheck): QueuedCheck {
    const subject = check.subjects[0];
    const lease = subject === undefined ? null : leaseOf(subject, check.shape);
    const request = lease?.request() ?? null;
    if (lease === null || request === null) return check;
    const onReply = beginOnReply(lease, request);
    const onDecided = (decided: DecidedCheck): void => {
      const states = onReply(decided);
      check.onDecided(states === null ? decided : { ...decided, states });
    };
    return { ...check, lease: request, onDecided };
  }

  function addRenewal(renewal: DueRenewal): void {
    due.push(renewal);
    if (renewal.lease.shape.leaseMs < delayedLeaseMsMin) sendRenewals();
    else dueTimer ??= setTimeout(sendRenewals, renewalDelayMs).unref();
  }

  function sendRenewals(): void {
    if (due.length === 0) return;
    if (dueTimer !== null) clearTimeout(dueTimer);
    dueTimer = null;
    const renewals = due;
    due = [];
    for (const renewal of renewals) {
      const request = renewal.lease.renew();
      if (request !== null) sendRenewal(renewal, request);
    }
  }

  /** Requests a lease beside no check. If Redis does not reply, the next lease is requested beside a check. */
  function sendRenewal({ lease, subject }: DueRenewal, request: LeaseRequest): void {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const onReply = beginOnReply(lease, request);
    options.enqueue({
      ...{ request: renewalRequest, shape: lease.shape, subjects: [subject], lease: request },
      onDecided: (decided) => {
        onReply(decided);
        resolve(undefined);
      },
      onUndecided: () => {
        lease.notGranted();
        resolve(undefined);
      },
    });
    waitFor(promise);
  }

  /**
   * Returns a function for the reply to a request that is sent now. It begins the lease, and returns the states for the check beside
   * it; null if no lease was granted.
   */
  function beginOnReply(
    lease: UnitLease,
    { lifeMs }: LeaseRequest,
  ): (decided: DecidedCheck) => LimitState[] | null {
    const [sentAtMs, epochOfAll] = [nowMs(), epochMs()];
    return ({ lease: grant = null, countedAtMs, states }) => {
      if (grant === null || grant.units === 0) {
        lease.notGranted();
        return null;
      }
      metrics.granted(grant.units);
      active.add(lease);
      const storedAtMs = countedAtMs + lifeMs;
      const leased = lease.begin(grant, { sentAtMs, storedAtMs, epochOfAll }, states);
      if (isClosed) endIfOver(lease);
      return leased;
    };
  }

  function sweep(): void {
    for (const lease of active) endIfOver(lease);
  }

  async function close(): Promise<void> {
    isClosed = true;
    if (dueTimer !== null) clearTimeout(dueTimer);
    sweep();
    // The reply to a renewal adds the return of its units.
    while (inFlight.size > 0) await Promise.all(inFlight);
  }

  /** Ends the leases whose time is over; all of them after `close`. */
  function endIfOver(lease: UnitLease): void {
    lease.endIfOver(nowMs(), isClosed);
    if (!lease.isActive()) active.delete(lease);
  }

  function giveBack(unspent: UnspentUnits): void {
    waitFor(
      options.returnUnits(unspent).then((isReturned) => {
        if (isReturned) metrics.returned(unspent.units);
      }),
    );
  }

  function waitFor(promise: Promise<unknown>): void {
    inFlight.add(promise);
    void promise.then(() => inFlight.delete(promise));
  }

  function leaseOf(subject: Subject, shape: Shape): UnitLease {
    const leases = (subject.leases ??= new Map<Shape, UnitLease>());
    let lease = leases.get(shape);
    if (lease === undefined) {
      // A lease that is removed here is still in `active`, so its units are returned.
      if (leases.size >= shapesMax) leases.clear();
      leases.set(shape, (lease = new UnitLease(subject, shape, giveBack)));
    }
    return lease;
  }
}
