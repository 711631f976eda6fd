import { boostPhase } from '../../../shared/domain/boost.ts';
import type { Boost } from '../../../shared/domain/tenant.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';

/**
 * State of a boost: planned, running or ended. A boost of a limit that the plan of the tenant does not have raises
 * nothing.
 */
export function boostBadge(boost: Boost, nowMs: number, limitNamesOfPlan: ReadonlySet<string>): Html {
  const phase = boostPhase(boost, nowMs);
  if (phase !== 'ended' && !limitNamesOfPlan.has(boost.limit))
    return html`<span class="badge warn">no effect: the plan has no such limit</span>`;
  return html`<span class="badge ${phase === 'running' ? 'good' : 'plain'}">${phase}</span>`;
}
