import type { Decision, Outcome } from '../../../shared/domain/decision.ts';
import type { LimitState } from '../../../shared/domain/limit.ts';
import type { CheckResult } from '../../../shared/redis/decision/check.ts';
import type { Permit } from '../../../shared/redis/leases/permits.ts';
import { readDetails } from '../reservations/reserved-call.ts';
import type { OpenReservation } from '../reservations/reserved-call.ts';
import type { DecisionInputs } from './decision-inputs.ts';
import { writtenPath } from './read-request.ts';
import { slowDownDelayMs } from './slow-down.ts';
import { untouchedState } from './verdict.ts';
import type { Verdict } from './verdict.ts';

/**
 * States of the limits that a verdict reports, whether they were read without Redis (`degraded`), and the duration of
 * the check.
 */
export type LimitsReading = Pick<CheckResult, 'states' | 'degraded' | 'checkMicros'>;

const noNames: readonly string[] = [];
const noStates: readonly LimitState[] = [];

/** Builds the verdict of a request that its limits decide. `permit` is null if the request needs no permit. */
export function checkedVerdict(inputs: DecisionInputs, result: CheckResult, permit: Permit | null): Verdict {
  const full = permit === null ? noStates : permit.full;
  const withoutPermit = permit?.granted === false;
  // If no permit was granted, the windows were read but not charged: the concurrent limits are then the only
  // reason for the refusal, even if a window has no room.
  const deciding = withoutPermit ? full : full.length === 0 ? result.states : [...full, ...result.states];
  let limitedBy: readonly string[] = noNames;
  let retryAfterMs: number | null = 0;
  for (const state of deciding) {
    if (!state.violated) continue;
    limitedBy = [...limitedBy, state.name];
    if (state.mode === 'shadow' || retryAfterMs === null) continue;
    retryAfterMs = state.retryAfterMs === null ? null : Math.max(retryAfterMs, state.retryAfterMs);
  }
  const passed = result.passed && !withoutPermit;
  const outcome: Outcome = !passed ? 'limited' : limitedBy.length > 0 ? 'shadow_limited' : 'allowed';
  const reason = passed ? null : withoutPermit ? 'limit' : (result.reason ?? 'limit');
  const reservation = passed ? openReservation(inputs, result) : null;
  const decision: Decision = {
    id: reservation?.call.decisionId ?? inputs.reservedCall?.decisionId ?? inputs.dependencies.nextId(),
    outcome,
    reason,
    limits: full.length === 0 ? result.states : [...result.states, ...full],
    limitedBy: reason === 'invalid' ? [reason] : limitedBy,
    retryAfterMs: passed || reason === 'invalid' ? null : retryAfterMs,
    delayMs: passed ? slowDownDelayMs(inputs.plan.slowDown, inputs.plan.limits, result.states) : 0,
    degraded: result.degraded || permit?.degraded === true,
    checkMicros: result.checkMicros,
  };
  const release = permit === null ? releaseNothing : () => permit.release();
  return verdictOf(inputs, decision, release, reservation, result.redisTimeMs);
}

/**
 * The reservation of a request that passed; null if it reserves nothing. If Redis had a reservation with this id, the
 * result is about the earlier call, whose decision and event it then names.
 */
function openReservation(
  inputs: DecisionInputs,
  { reservation }: Pick<CheckResult, 'reservation'>,
): OpenReservation | null {
  const { request, policy, reservedCall } = inputs;
  if (request.reserve === undefined || reservedCall === null) return null;
  const existing = reservation?.existing ?? null;
  const earlier = existing === null ? null : readDetails(existing.details);
  return {
    handle: reservation?.handle ?? null,
    call: earlier ?? reservedCall,
    reserve: request.reserve,
    pricing: policy,
    repeated: existing !== null,
  };
}

/**
 * Builds the verdict of a request from a service, or of an exempt route or address. No limit applies to it: Redis is not
 * called, and the verdict reports the limits as unused.
 */
export function bypassedVerdict(inputs: DecisionInputs): Verdict {
  const { states, degraded, checkMicros } = untouchedLimits(inputs);
  const decision: Decision = {
    id: inputs.reservedCall?.decisionId ?? inputs.dependencies.nextId(),
    outcome: 'bypassed',
    reason: null,
    limits: states,
    limitedBy: noNames,
    retryAfterMs: null,
    delayMs: 0,
    degraded,
    checkMicros,
  };
  return verdictOf(inputs, decision, releaseNothing, openReservation(inputs, { reservation: null }));
}

/** Reports the limits of a request as unused, for verdicts that are built without a call to Redis. */
export function untouchedLimits({ limits, atMs }: DecisionInputs): LimitsReading {
  const windows = limits.filter(({ type }) => type !== 'concurrent');
  return { states: windows.map((limit) => untouchedState(limit, atMs)), degraded: false, checkMicros: 0 };
}

export const releaseNothing = (): void => undefined;

/** Combines a decision with its inputs. `release` releases the permit of the request. */
export function verdictOf(
  { dependencies, request, policy, plan, readings, limits, units, attributes, atMs }: DecisionInputs,
  decision: Decision,
  release: () => void,
  reservation: OpenReservation | null = null,
  redisTimeMs = 0,
): Verdict {
  const { target, route, unreadable } = readings;
  return {
    decision,
    identity: request.caller.identity,
    policy,
    plan,
    route,
    limits,
    units,
    attributes,
    method: request.method,
    path: target === null ? writtenPath(request.url) : target.path,
    target,
    atMs,
    decidedAtMs: dependencies.clock.now(),
    redisTimeMs,
    unreadable,
    credentialRejection: null,
    addressRejection: null,
    block: null,
    reserve: request.reserve ?? null,
    reservation,
    release,
    trace: null,
  };
}
