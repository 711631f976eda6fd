import type { LimitState } from './limit.ts';

/** How a request fared. `shadow_limited` passed, and would have been refused if its limit were enforced. */
export type Outcome = 'allowed' | 'limited' | 'bypassed' | 'shadow_limited';

export const outcomes: readonly Outcome[] = ['allowed', 'limited', 'bypassed', 'shadow_limited'];

/**
 * Why a request was refused other than by a limit: `blocked` by an operator, `unauthenticated`, `cost_too_high`
 * (above what a limit could ever grant), `invalid` (cost not a positive number).
 */
export type RefusalReason = 'limit' | 'blocked' | 'unauthenticated' | 'cost_too_high' | 'invalid';

export interface Decision {
  /** UUIDv7; also the id of the usage event, so that a refusal can be looked up. */
  readonly id: string;
  readonly outcome: Outcome;
  readonly reason: RefusalReason | null;
  /** Every limit that applied, in policy order: plan, then route. */
  readonly limits: readonly LimitState[];
  /** Names of the limits without room (enforced and shadow alike). */
  readonly limitedBy: readonly string[];
  /** Milliseconds until the request would pass; null when it passes or never will. */
  readonly retryAfterMs: number | null;
  /** Milliseconds to hold the request back before serving it (slow-down); 0 for none. */
  readonly delayMs: number;
  /** True when Redis did not answer and the node decided by itself. */
  readonly degraded: boolean;
  /** Microseconds from asking to knowing. */
  readonly checkMicros: number;
}
