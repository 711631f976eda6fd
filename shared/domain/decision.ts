import type { LimitState } from './limit.ts';

/**
 * Outcome of a decision. A `shadow_limited` request passed, but would have been refused if the limits in shadow mode
 * were enforced.
 */
export type Outcome = 'allowed' | 'limited' | 'bypassed' | 'shadow_limited';

export const outcomes: readonly Outcome[] = ['allowed', 'limited', 'bypassed', 'shadow_limited'];

/**
 * Why a request was refused. `limit`: it exceeded a limit. `blocked`: an operator has blocked the tenant.
 * `unauthenticated`: it has no valid credential. `cost_too_high`: it costs more units than a limit can ever grant.
 * `out_of_scope`: its API key may not send it. `invalid`: its cost is not a positive number. `unavailable`: Redis did not answer,
 * and the application does not serve requests that are decided without it. Except for `limit`, the event states the reason as the
 * first name of `limited_by`.
 */
export type RefusalReason =
  'limit' | 'blocked' | 'unauthenticated' | 'out_of_scope' | 'cost_too_high' | 'invalid' | 'unavailable';

export interface Decision {
  /** UUIDv7 of the decision. The usage event has the same id, so that a refused request can be found by it. */
  readonly id: string;
  readonly outcome: Outcome;
  readonly reason: RefusalReason | null;
  /** States of all limits that applied to the request, in policy order: limits of the plan, then of the route. */
  readonly limits: readonly LimitState[];
  /** Names of the limits that the request exceeds, in enforce mode and in shadow mode. */
  readonly limitedBy: readonly string[];
  /** Milliseconds until the request would pass; null if it passes now or can never pass. */
  readonly retryAfterMs: number | null;
  /** Milliseconds by which the entrypoint delays the request before it is served (slow-down); 0 for no delay. */
  readonly delayMs: number;
  /** True if Redis did not respond in time and the node decided without it. */
  readonly degraded: boolean;
  /** Duration of the decision in microseconds. */
  readonly checkMicros: number;
}
