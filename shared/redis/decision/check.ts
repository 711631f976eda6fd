import type { RefusalReason } from '../../domain/decision.ts';
import type { Limit, LimitState } from '../../domain/limit.ts';

export interface CheckRequest {
  readonly tenantId: string | null;
  readonly userId: string | null;
  readonly ip: string;
  /**
   * Already chosen for plan and route, overrides and boosts applied. Pass the same array for the same choice: what the
   * script needs of it is compiled once per array.
   */
  readonly limits: readonly Limit[];
  /** Whole units, 1 to 1e9. */
  readonly cost: number;
  /** True to look without taking. */
  readonly peek: boolean;
  /** IANA zone of the tenant's calendar quotas; absent or unknown: UTC. */
  readonly timeZone?: string;
  /** Milliseconds after which a late Redis is given up on; absent: the limiter's own `callTimeoutMs`. */
  readonly waitMsMax?: number;
}

export interface CheckResult {
  /** One per limit of the request but for `concurrent` ones, in order. */
  readonly states: readonly LimitState[];
  readonly passed: boolean;
  /** Why not: `limit`, `cost_too_high` (no wait will help) or `invalid` (the cost is not a whole number above 0). */
  readonly reason: RefusalReason | null;
  /** True when this node decided by itself, without Redis. */
  readonly degraded: boolean;
  /** Microseconds from asking to knowing. */
  readonly checkMicros: number;
}

export const costMax = 1_000_000_000;

export function isCost(cost: number): boolean {
  return Number.isInteger(cost) && cost >= 1 && cost <= costMax;
}

/** What the script or the local limiter says of one window: units left, ms to the reset, ms to room (0 now, -1 never). */
export interface WindowAnswer {
  readonly remaining: number;
  readonly resetInMs: number;
  readonly waitMs: number;
}

export function stateOf(limit: Limit, nowMs: number, answer: WindowAnswer): LimitState {
  return {
    name: limit.name,
    limit: limit.limit,
    remaining: answer.remaining,
    resetAtMs: nowMs + answer.resetInMs,
    windowMs: limit.windowMs,
    burst: limit.burst,
    violated: answer.waitMs !== 0,
    retryAfterMs: answer.waitMs < 0 ? null : answer.waitMs,
    mode: limit.mode,
  };
}

/** Sums the states up; `costValid` false refuses whatever they say. */
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
