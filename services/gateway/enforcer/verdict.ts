import type { Decision } from '../../../shared/domain/decision.ts';
import type { Identity } from '../../../shared/domain/identity.ts';
import type { Limit, LimitState } from '../../../shared/domain/limit.ts';
import type { Plan, Policy, Route } from '../../../shared/domain/policy.ts';
import type { Target } from '../../../shared/domain/request/target.ts';
import type { CredentialRefusal, RefusalOfAddress } from '../../../shared/identity/refusal.ts';
import type { Fault } from '../transport/fault.ts';

/** A decision with everything it was made from: what headers, the answer, the event and the log line are written from. */
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
  /** In normal form, without the query; as it came where it cannot be read. */
  readonly path: string;
  /** What is forwarded; null where the request cannot be read. */
  readonly target: Target | null;
  /** Unix milliseconds; the event's time. */
  readonly atMs: number;
  /** Unix milliseconds at which the limits stood as `decision.limits` says. */
  readonly decidedAtMs: number;
  /** Set where the request cannot be read as one request, or not be served as it is. */
  readonly unreadable: Fault | null;
  /** Set where the credentials were bad. */
  readonly credentials: CredentialRefusal | null;
  /** Set where the address is over its limit of bad credentials or of requests that cannot be served. */
  readonly address: RefusalOfAddress | null;
  /** Why the tenant is blocked, and until when (Unix milliseconds, null: until further notice). */
  readonly block: { readonly untilMs: number | null; readonly reason: string } | null;
  /** Gives back the place the request holds under concurrent limits. The second call does nothing. */
  readonly release: () => void;
}

/** True for what goes on to the upstream. */
export function passes({ decision }: Verdict): boolean {
  return decision.outcome !== 'limited';
}

/**
 * The window that X-RateLimit-* speaks of: of those that refuse the one with the longest wait, else the one with the
 * smallest share left, of equal shares the one with the fewest units. Shadow limits refuse nobody, so they are named only where there is no other.
 */
export function closestLimit(states: readonly LimitState[]): LimitState | null {
  let closest: LimitState | null = null;
  for (const state of states) {
    if (closest === null || isCloser(state, closest)) closest = state;
  }
  return closest;
}

/** A window of which nothing is used. */
export function untouchedState(limit: Limit, nowMs: number): LimitState {
  const { name, windowMs, burst, mode } = limit;
  const room = { limit: limit.limit, remaining: limit.limit, resetAtMs: nowMs };
  return { name, ...room, windowMs, burst, violated: false, retryAfterMs: 0, mode };
}

function isCloser(state: LimitState, other: LimitState): boolean {
  if (state.mode !== other.mode) return state.mode === 'enforce';
  if (state.violated !== other.violated) return state.violated;
  if (state.violated) return (state.retryAfterMs ?? Infinity) > (other.retryAfterMs ?? Infinity);
  const [share, otherShare] = [shareLeft(state), shareLeft(other)];
  return share < otherShare || (share === otherShare && state.remaining < other.remaining);
}

function shareLeft({ limit, remaining }: LimitState): number {
  return limit === 0 ? 0 : remaining / limit;
}
