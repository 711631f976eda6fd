import type { LimitState } from './limit.ts';

/** Outcome of a decision. A `shadow_limited` request passed; with its limits enforced it would have been refused. */
export type Outcome = 'allowed' | 'limited' | 'bypassed' | 'shadow_limited';

export const outcomes: readonly Outcome[] = ['allowed', 'limited', 'bypassed', 'shadow_limited'];

/**
 * Why a request was refused: by a `limit`, `blocked` by an operator, `unauthenticated`, `cost_too_high` (more than a
 * limit can ever grant), or `invalid` (the cost is not a positive number).
 */
export type RefusalReason = 'limit' | 'blocked' | 'unauthenticated' | 'cost_too_high' | 'invalid';

export interface Decision {
  /** UUIDv7; also the id of the usage event, by which a refused request is found. */
  readonly id: string;
  readonly outcome: Outcome;
  readonly reason: RefusalReason | null;
  /** Every limit that applied, in policy order: plan, then route. */
  readonly limits: readonly LimitState[];
  /** Names of the limits that the request exceeds, enforced and shadow limits alike. */
  readonly limitedBy: readonly string[];
  /** Milliseconds until the request would pass; null when it passes or never will. */
  readonly retryAfterMs: number | null;
  /** Milliseconds to hold the request back before serving it (slow-down); 0 for none. */
  readonly delayMs: number;
  /** True if Redis did not respond and the node decided by itself. */
  readonly degraded: boolean;
  /** Duration of the decision in microseconds. */
  readonly checkMicros: number;
}
