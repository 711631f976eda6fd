import type { Decision } from '../../../shared/domain/decision.ts';
import type { Identity } from '../../../shared/domain/identity.ts';
import type { Attributes, Limit, LimitState } from '../../../shared/domain/limit.ts';
import type { Plan, Policy, Route } from '../../../shared/domain/policy.ts';
import type { Target } from '../../../shared/domain/request/target.ts';
import type { CredentialRejection, AddressRejection } from '../../../shared/identity/credential-reading.ts';
import type { RequestTrace } from '../metering/request-trace.ts';
import type { OpenReservation, Reserve } from '../reservations/reserved-call.ts';
import type { Fault } from '../transport/fault.ts';

/**
 * A decision with its inputs. Limit headers, response body, usage event and log line of a request are all written from
 * it.
 */
export interface Verdict {
  readonly decision: Decision;
  readonly identity: Identity;
  readonly policy: Policy;
  readonly plan: Plan;
  readonly route: Route | null;
  /** The limits whose states are in `decision.limits`, with the tenant's overrides and boosts applied. */
  readonly limits: readonly Limit[];
  readonly units: number;
  /** Values of the attributes that the limits count. */
  readonly attributes: Attributes | undefined;
  readonly method: string;
  /** Path in normal form without the query. If it cannot be read, the path as it was sent. */
  readonly path: string;
  /** The target to forward; null if the request cannot be read. */
  readonly target: Target | null;
  /** Unix milliseconds at which the decision began; also the time of the usage event. */
  readonly atMs: number;
  /** Unix milliseconds at which the states in `decision.limits` were read. */
  readonly decidedAtMs: number;
  /**
   * Time of the decision by the clock of Redis, in Unix milliseconds with microseconds as a fraction; 0 if the limits were not
   * checked in Redis.
   */
  readonly redisTimeMs: number;
  /** Set if the request cannot be read unambiguously, or cannot be served in the form in which it was sent. */
  readonly unreadable: Fault | null;
  /** Set if the credentials were not accepted. */
  readonly credentialRejection: CredentialRejection | null;
  /** Set if the address is over its limit of invalid credentials or of requests that cannot be served. */
  readonly addressRejection: AddressRejection | null;
  /** Set if the tenant is blocked. */
  readonly block: Block | null;
  /** What the request was to reserve; null for a request that charges its units only. */
  readonly reserve: Reserve | null;
  /** Set if the request reserved amounts and may be served. */
  readonly reservation: OpenReservation | null;
  /** Releases the permit that the request holds under concurrent limits. The second call does nothing. */
  readonly release: () => void;
  /** The span of the request; null if traces are off. */
  readonly trace: RequestTrace | null;
}

/** Why a tenant is blocked, and until when. */
export interface Block {
  /** Unix milliseconds; null if the block has no end. */
  readonly untilMs: number | null;
  readonly reason: string;
}

/** Returns true if the request may be served. */
export function passes({ decision }: Verdict): boolean {
  return decision.outcome !== 'limited';
}

/**
 * Returns the window that the X-RateLimit fields describe. If any window refuses, this is the refusing window with the
 * longest wait. Otherwise it is the window with the smallest remaining share; of equal shares, the one with the fewest
 * remaining units. Shadow limits refuse no request, so a shadow limit is returned only if there is no enforced limit.
 */
export function closestLimit(states: readonly LimitState[]): LimitState | null {
  let closest: LimitState | null = null;
  for (const state of states) {
    if (closest === null || isCloser(state, closest)) closest = state;
  }
  return closest;
}

function isCloser(state: LimitState, other: LimitState): boolean {
  if (state.mode !== other.mode) return state.mode === 'enforce';
  if (state.violated !== other.violated) return state.violated;
  if (state.violated) return (state.retryAfterMs ?? Infinity) > (other.retryAfterMs ?? Infinity);
  const [share, otherShare] = [remainingShare(state), remainingShare(other)];
  return share < otherShare || (share === otherShare && state.remaining < other.remaining);
}

function remainingShare({ limit, remaining }: LimitState): number {
  return limit === 0 ? 0 : remaining / limit;
}

/** Returns the state of a window in which no unit is used. */
export function untouchedState(limit: Limit, nowMs: number): LimitState {
  const { name, of, windowMs, burst, mode } = limit;
  const room = { limit: limit.limit, remaining: limit.limit, resetAtMs: nowMs };
  return { name, of, ...room, windowMs, burst, violated: false, retryAfterMs: 0, mode };
}
