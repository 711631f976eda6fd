import { setTimeout as pause } from 'node:timers/promises';
import type { Limit, LimitState, SlowDown } from '../../../shared/domain/limit.ts';
import type { GatewayMetrics } from '../metrics.ts';
import type { Verdict } from './verdict.ts';

/**
 * Delay of a request by graduated throttling: it grows linearly from 0 where the share `from` of a limit of the plan is
 * used to `maxDelayMs` at the limit. Of several enforced limits the one with the largest share used decides.
 */
export function slowDownDelayMs(
  slowDown: SlowDown | null,
  limits: readonly Limit[],
  states: readonly LimitState[],
): number {
  if (slowDown === null) return 0;
  // States are in the order of the limits: those of the plan first, without the concurrent ones.
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
 * Waits for the delay of the decision (slow-down) and records it in the metrics. Without a delay it resolves at once.
 */
export async function delayRequest(
  { metrics }: { readonly metrics: Pick<GatewayMetrics, 'delaySeconds'> },
  { decision: { delayMs } }: Verdict,
): Promise<void> {
  if (delayMs === 0) return;
  metrics.delaySeconds.observe(delayMs / 1000);
  await pause(delayMs);
}
