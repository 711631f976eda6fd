import { setTimeout as pause } from 'node:timers/promises';
import type { Limit, LimitState, SlowDown } from '../../../shared/domain/limit.ts';
import type { GatewayMetrics } from '../metrics.ts';
import type { Verdict } from './verdict.ts';

/**
 * Graduated throttling: from `from` of a limit of the plan the delay grows in a straight line to `maxDelayMs` at the
 * limit. The fullest enforced limit counts.
 */
export function slowDownDelayMs(
  slowDown: SlowDown | null,
  limits: readonly Limit[],
  states: readonly LimitState[],
): number {
  if (slowDown === null) return 0;
  // States stand in the order of the limits, the plan's first, without the concurrent ones.
  const ofPlan = limits.reduce((count, { type }) => count + (type === 'concurrent' ? 0 : 1), 0);
  let share = 0;
  for (const [index, state] of states.entries()) {
    if (index >= ofPlan || state.limit === 0 || state.mode === 'shadow') continue;
    share = Math.max(share, 1 - state.remaining / state.limit);
  }
  if (share < slowDown.from) return 0;
  return Math.round((slowDown.maxDelayMs * (share - slowDown.from)) / (1 - slowDown.from));
}

/** Waits for the delay of the decision (slow-down) and records it in the metrics. Without a delay it resolves at once. */
export async function delayRequest(
  { metrics }: { readonly metrics: Pick<GatewayMetrics, 'delaySeconds'> },
  { decision: { delayMs } }: Verdict,
): Promise<void> {
  if (delayMs === 0) return;
  metrics.delaySeconds.observe(delayMs / 1000);
  await pause(delayMs);
}
