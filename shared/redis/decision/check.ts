import type { RefusalReason } from '../../domain/decision.ts';
import type { Attributes, Limit, LimitState } from '../../domain/limit.ts';
import { amountMax } from '../../domain/usage/quantity.ts';
import type { Amounts } from '../../domain/usage/quantity.ts';
import type { CheckedReservation, ReservationRequest } from '../reservations/reservation.ts';
import { detailsBytesMax } from '../reservations/reservation.ts';

export interface CheckRequest {
  readonly tenantId: string | null;
  readonly userId: string | null;
  readonly ip: string;
  /** The group of the tenant, for limits that count groups. */
  readonly groupId?: string | null;
  /** Values of the attributes that the limits count; a missing value counts as an empty one. */
  readonly attributes?: Attributes | undefined;
  /**
   * The limits of the plan and route, with overrides and boosts applied. Pass the same array object for the same limits, because
   * limits are compiled once per array object.
   */
  readonly limits: readonly Limit[];
  /** Whole units, 1 to 1e9. */
  readonly cost: number;
  /**
   * Amounts of other quantities than `requests`, in smallest units, 0 to 2^48 - 1. A limit of a quantity that is absent is checked
   * with an amount of 0: it has room while less than its limit is used.
   */
  readonly amounts?: Amounts;
  /** Stores a record of the charged amounts, so that a settlement can replace them. */
  readonly reservation?: ReservationRequest;
  /** True for a check that consumes nothing. */
  readonly peek: boolean;
  /** With `peek`: the states of the limits have their `use`. */
  readonly withUse?: boolean;
  /** True if the caller refuses the request when it is decided without Redis: such a check charges nothing. */
  readonly redisOnly?: boolean;
  /** Calendar of the tenant's quotas (see `calendarOf`); UTC where it is absent. */
  readonly calendar?: string | null;
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
   * Reason of a refusal: `limit`, `cost_too_high` (the cost or an amount never fits, so a retry cannot pass) or `invalid` (the
   * cost, an amount or the reservation is outside of its bounds). Null when the check passed.
   */
  readonly reason: RefusalReason | null;
  /** True when this node decided without Redis. */
  readonly degraded: boolean;
  /** Time of Redis in Unix milliseconds, with microseconds as a fraction; 0 when Redis was not called for this check. */
  readonly redisTimeMs: number;
  /** Microseconds from the call to the result. */
  readonly checkMicros: number;
  /** The reservation of a check with `reservation` that passed; else null. */
  readonly reservation: CheckedReservation | null;
}

export const costMax = 1_000_000_000;

export function isCost(cost: number): boolean {
  return Number.isInteger(cost) && cost >= 1 && cost <= costMax;
}

/** Returns whether the cost, the amounts and the reservation of a request are within their bounds. */
export function isValidRequest({ cost, amounts, reservation }: CheckRequest): boolean {
  if (amounts !== undefined && !Object.values(amounts).every(isAmount)) return false;
  return isCost(cost) && (reservation === undefined || isReservation(reservation));
}

export function isAmount(amount: number): boolean {
  return Number.isInteger(amount) && amount >= 0 && amount <= amountMax;
}

function isReservation({ id, expiresMs, details }: ReservationRequest): boolean {
  if (id.length < 1 || id.length > 128 || Buffer.byteLength(details) > detailsBytesMax) return false;
  return Number.isInteger(expiresMs) && expiresMs >= 0 && expiresMs <= 400 * 86_400_000;
}

/** Returns what a request charges of a quantity: its cost for `requests`, the first quantity of each shape. */
export function amountOf(
  { cost, amounts }: CheckRequest,
  quantities: readonly string[],
  index: number,
): number {
  return index === 0 ? cost : (amounts?.[quantities[index] ?? ''] ?? 0);
}

/** What the script or the local limiter computed for one window. */
export interface WindowOutcome {
  readonly remaining: number;
  readonly resetInMs: number;
  /** Milliseconds until the cost fits: 0 if it fits now, -1 if it never fits. */
  readonly waitMs: number;
}

export function stateOf(
  limit: Pick<Limit, 'name' | 'of' | 'limit' | 'windowMs' | 'burst' | 'mode'>,
  nowMs: number,
  outcome: WindowOutcome,
): LimitState {
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

/** Returns whether the limits admit a request: a full limit in shadow mode refuses nothing. */
export function admits(states: readonly LimitState[]): boolean {
  return states.every(({ violated, mode }) => !violated || mode === 'shadow');
}

/** Combines the states of all windows into the result of a check. An invalid request is always refused. */
export function resultOf(
  states: readonly LimitState[],
  valid: boolean,
  degraded: boolean,
  checkMicros: number,
  redisTimeMs = 0,
): CheckResult {
  let reason: RefusalReason | null = null;
  for (const state of states) {
    if (!state.violated || state.mode === 'shadow') continue;
    if (state.retryAfterMs === null) reason = 'cost_too_high';
    else reason ??= 'limit';
  }
  if (!valid) reason = 'invalid';
  return { states, passed: reason === null, reason, degraded, checkMicros, redisTimeMs, reservation: null };
}
