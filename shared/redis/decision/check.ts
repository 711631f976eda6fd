import type { RefusalReason } from '../../domain/decision.ts';
import type { Limit, LimitState } from '../../domain/limit.ts';

export interface CheckRequest {
  readonly tenantId: string | null;
  readonly userId: string | null;
  readonly ip: string;
  /**
   * The limits of the plan and route, with overrides and boosts applied. Pass the same array for the same limits: it is
   * compiled once per array.
   */
  readonly limits: readonly Limit[];
  /** Whole units, 1 to 1e9. */
  readonly cost: number;
  /** True for a check that consumes nothing. */
  readonly peek: boolean;
  /** IANA time zone of the tenant's calendar quotas; UTC where it is absent or unknown. */
  readonly timeZone?: string;
  /** A reply of Redis later than this opens the circuit breaker; absent: the limiter's own `callTimeoutMs`. */
  readonly waitMsMax?: number;
}

export interface CheckResult {
  /** One per limit of the request except `concurrent` ones, in order. */
  readonly states: readonly LimitState[];
  readonly passed: boolean;
  /** Why it did not pass: `limit`, `cost_too_high` (no wait helps) or `invalid` (the cost is not a whole number above 0). */
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
  /** Time until the cost fits; 0 now, -1 never. */
  readonly waitMs: number;
}

export function stateOf(limit: Limit, nowMs: number, outcome: WindowOutcome): LimitState {
  return {
    name: limit.name,
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

/** The result of all windows; `costValid` false refuses in any case. */
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
