import type { RefusalReason } from '../../domain/decision.ts';
import type { Limit, LimitState } from '../../domain/limit.ts';

export interface CheckRequest {
  readonly tenantId: string | null;
  readonly userId: string | null;
  readonly ip: string;
  /**
   * The limits of the plan and route, with overrides and boosts applied. Pass the same array object for the same limits, because
   * limits are compiled once per array object.
   */
  readonly limits: readonly Limit[];
  /** Whole units, 1 to 1e9. */
  readonly cost: number;
  /** True for a check that consumes nothing. */
  readonly peek: boolean;
  /** IANA time zone of the tenant's calendar quotas; UTC where it is absent or unknown. */
  readonly timeZone?: string;
  /**
   * Longest wait for Redis's reply to this check: a later reply opens the circuit breaker. Absent: the limiter's `callTimeoutMs`.
   */
  readonly waitMsMax?: number;
}

export interface CheckResult {
  /** One state for each limit of the request, in order, without the `concurrent` limits. */
  readonly states: readonly LimitState[];
  readonly passed: boolean;
  /**
   * Reason of a refusal: `limit`, `cost_too_high` (the cost never fits, so a retry cannot pass) or `invalid` (the cost is not a
   * whole number from 1 to `costMax`). Null when the check passed.
   */
  readonly reason: RefusalReason | null;
  /** True when this node decided without Redis. */
  readonly degraded: boolean;
  /** Microseconds from the call to the result. */
  readonly checkMicros: number;
}

export const costMax = 1_000_000_000;

export function isCost(cost: number): boolean {
  return Number.isInteger(cost) && cost >= 1 && cost <= costMax;
}

/** What the script or the local limiter computed for one window. */
export interface WindowOutcome {
  readonly remaining: number;
  readonly resetInMs: number;
  /** Milliseconds until the cost fits: 0 if it fits now, -1 if it never fits. */
  readonly waitMs: number;
}

export function stateOf(limit: Limit, nowMs: number, outcome: WindowOutcome): LimitState {
  return {
    name: limit.name,
    of: limit.of,
    limit: limit.limit,
    remaining: outcome.remaining,
    resetAtMs: nowMs + outcome.resetInMs,
    windowMs: limit.windowMs,
    burst: limit.burst,
    violated: outcome.waitMs !== 0,
    retryAfterMs: outcome.waitMs < 0 ? null : outcome.waitMs,
    mode: limit.mode,
  };
}

/** Combines the states of all windows into the result of a check. An invalid cost is always refused. */
export function resultOf(
  states: readonly LimitState[],
  costValid: boolean,
  degraded: boolean,
  checkMicros: number,
): CheckResult {
  let reason: RefusalReason | null = null;
  for (const state of states) {
    if (!state.violated || state.mode === 'shadow') continue;
    if (state.retryAfterMs === null) reason = 'cost_too_high';
    else reason ??= 'limit';
  }
  if (!costValid) reason = 'invalid';
  return { states, passed: reason === null, reason, degraded, checkMicros };
}
