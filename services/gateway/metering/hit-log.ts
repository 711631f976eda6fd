import type { BoundedLog } from './bounded-log.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/** One line per limit hit: who, from where, at what, and the decision's id. Every hit is an event in any case. */
export function logHit(log: BoundedLog, { decision, identity, plan, route, method }: Verdict): void {
  log(
    () => ({
      decision: decision.id,
      outcome: decision.outcome,
      reason: decision.reason,
      limited_by: decision.limitedBy,
      tenant: identity.tenantId,
      user: identity.userId,
      ip: identity.ip,
      plan: plan.name,
      method,
      route: route?.match ?? '*',
      retry_after_ms: decision.retryAfterMs,
      degraded: decision.degraded,
    }),
    decision.outcome === 'shadow_limited' ? 'limit hit in shadow' : 'limit hit',
  );
}
