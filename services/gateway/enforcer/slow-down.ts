import { setTimeout as pause } from 'node:timers/promises';
import type { Limit, LimitState, SlowDown } from '../../../shared/domain/limit.ts';
import type { GatewayMetrics } from '../metrics.ts';
import type { Verdict } from './verdict.ts';

/**
 * Returns the delay that the plan's slow-down adds to a request. The delay is 0 while less than the share `from` of
 * each plan limit is used, and grows linearly to `maxDelayMs` at a fully used limit. The enforced limit with the
 * largest used share decides.
 */
export function slowDownDelayMs(
  slowDown: SlowDown | null,
  limits: readonly Limit[],
  states: readonly LimitState[],
): number {
  if (slowDown === null) return 0;
  // `states` are in the order of the request's limits: the plan's limits come first. Concurrent limits have
  // no state here.
  const planStates = limits.reduce((count, { type }) => count + (type === 'concurrent' ? 0 : 1), 0);
  let share = 0;
  for (const [index, state] of states.entries()) {
    if (index >= planStates || state.limit === 0 || state.mode === 'shadow') continue;
    share = Math.max(share, 1 - state.remaining / state.limit);
  }
  if (share < slowDown.from) return 0;
  return Math.round((slowDown.maxDelayMs * (share - slowDown.from)) / (1 - slowDown.from));
}

/**
 * Waits for the delay that slow-down added to the decision, and records it in the metrics. Without a delay, resolves at
 * once.
 */
export async function delayRequest(
  { metrics }: { readonly metrics: Pick<GatewayMetrics, 'delaySeconds'> },
  { decision: { delayMs } }: Verdict,
): Promise<void> {
  if (delayMs === 0) return;
  metrics.delaySeconds.observe(delayMs / 1000);
  await pause(delayMs);
}
