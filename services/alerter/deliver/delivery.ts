import type { Delivery } from '../../../shared/domain/topics/delivery.ts';

/** Outcome of one attempt. `gone`: the target responded with 410. `refused`: no retry can succeed. */
export type AttemptOutcome =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'failed'; readonly error: string; readonly retryAfterMs?: number }
  | { readonly kind: 'gone'; readonly error: string }
  | { readonly kind: 'refused'; readonly error: string };

/**
 * Delays of retries. The backoff of retry n is base × factor^n ms, at most `capMs`; the delay is between half of the
 * backoff and all of it.
 */
export interface RetryPlan {
  readonly attemptsMax: number;
  readonly baseMs: number;
  readonly factor: number;
  readonly capMs: number;
}

/** Retries for about a day: the delays are 5 s, 25 s, 2 min, 10 min, 50 min, and then always 4 h. */
export const defaultRetryPlan: RetryPlan = {
  attemptsMax: 11,
  baseMs: 5_000,
  factor: 5,
  capMs: 4 * 3_600_000,
};

/** Returns the state of the delivery after an attempt. `random`, in [0, 1), sets the jitter. Pure. */
export function afterAttempt(
  delivery: Delivery,
  outcome: AttemptOutcome,
  { nowMs, random, plan }: { nowMs: number; random: number; plan: RetryPlan },
): Delivery {
  const attempts = delivery.attempts + 1;
  const next = {
    ...delivery,
    attempts,
    updated_ms: nowMs,
    error: outcome.kind === 'delivered' ? '' : outcome.error,
  };
  if (outcome.kind === 'delivered') return { ...next, status: 'delivered' };
  if (outcome.kind === 'gone') return { ...next, status: 'dead', gone: true };
  if (outcome.kind === 'refused' || attempts >= plan.attemptsMax) return { ...next, status: 'dead' };
  const backoffMs = Math.min(plan.capMs, plan.baseMs * plan.factor ** (attempts - 1)) * (0.5 + random / 2);
  // A target's `Retry-After` header is respected, but no longer than the longest backoff.
  const waitMs = Math.max(backoffMs, Math.min(outcome.retryAfterMs ?? 0, plan.capMs));
  return { ...next, next_attempt_ms: nowMs + Math.ceil(waitMs) };
}
