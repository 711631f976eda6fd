import type { Limit } from '../domain/limit.ts';
import type { Policy } from '../domain/policy.ts';
import { isTenantQuota } from '../domain/quota.ts';
import type { Quota } from '../domain/quota.ts';
import type { TenantRecord } from '../domain/tenant.ts';
import { limitsFor } from './match.ts';

/**
 * Every quota of a plan and of routes, overrides and boosts applied: those that count a tenant as a whole, or what
 * `counts` picks.
 */
export function quotasFor(
  policy: Policy,
  { plan, record, nowMs }: { plan: string | null; record: TenantRecord | null; nowMs: number },
  counts: (limit: Limit) => limit is Quota = isTenantQuota,
): Quota[] {
  const ofPlan = limitsFor(policy, { plan, record, route: null, nowMs }).limits;
  const ofRoutes = policy.routes
    .filter((route) => route.limits.some(counts))
    .flatMap((route) => limitsFor(policy, { plan, record, route, nowMs }).limits.slice(ofPlan.length));
  return [...ofPlan, ...ofRoutes].filter(counts);
}
