import type { Decision } from '../../../shared/domain/decision.ts';
import type { Identity } from '../../../shared/domain/identity.ts';
import type { Limit, LimitState } from '../../../shared/domain/limit.ts';
import type { Plan, Policy, Route } from '../../../shared/domain/policy.ts';
import type { Target } from '../../../shared/domain/request/target.ts';
import type { CredentialRejection, AddressRejection } from '../../../shared/identity/credential-reading.ts';
import type { Fault } from '../transport/fault.ts';

/** A decision with its inputs. Headers, response body, event and log line of a request are written from it. */
export interface Verdict {
  readonly decision: Decision;
  readonly identity: Identity;
  readonly policy: Policy;
  readonly plan: Plan;
  readonly route: Route | null;
  /** The limits behind `decision.limits`, overrides and boosts applied. */
  readonly limits: readonly Limit[];
  readonly units: number;
  readonly method: string;
  /** In normal form, without the query; unchanged where it cannot be read. */
  readonly path: string;
  /** The target to forward; null where the request cannot be read. */
  readonly target: Target | null;
  /** Unix milliseconds; the event's time. */
  readonly atMs: number;
  /** Unix milliseconds at which the limits were in the state of `decision.limits`. */
  readonly decidedAtMs: number;
  /** Set where the request cannot be read as one request, or cannot be served in the form it was sent in. */
  readonly unreadable: Fault | null;
  /** Set where the credentials were not accepted. */
  readonly credentialRejection: CredentialRejection | null;
  /** Set where the address is over its limit of bad credentials or of requests that cannot be served. */
  readonly addressRejection: AddressRejection | null;
  /** Set where the tenant is blocked. */
  readonly block: Block | null;
  /** Releases the permit that the request holds under concurrent limits. The second call does nothing. */
  readonly release: () => void;
}

/** Why a tenant is blocked, and until when. */
export interface Block {
  /** Unix milliseconds; null: until further notice. */
  readonly untilMs: number | null;
  readonly reason: string;
}

/** True where the request may be served. */
export function passes({ decision }: Verdict): boolean {
  return decision.outcome !== 'limited';
}

/**
 * The window that X-RateLimit-* describe. Of windows that refuse: the one with the longest wait. Else the one with the
 * smallest share left, and of equal shares the one with the fewest units. Shadow limits refuse no request, so they are
 * named only where there is no other limit.
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

/** A window of which no unit is used. */
export function untouchedState(limit: Limit, nowMs: number): LimitState {
  const { name, windowMs, burst, mode } = limit;
  const room = { limit: limit.limit, remaining: limit.limit, resetAtMs: nowMs };
  return { name, ...room, windowMs, burst, violated: false, retryAfterMs: 0, mode };
}
