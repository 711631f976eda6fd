import type { Policy } from '../domain/policy.ts';
import { isTenantQuota } from '../domain/quota.ts';
import type { Quota } from '../domain/quota.ts';
import type { TenantRecord } from '../domain/tenant.ts';
import { limitsFor } from './match.ts';

/** Every quota that counts a tenant as a whole: its plan's, and those of routes. Overrides and boosts applied. */
export function quotasFor(
  policy: Policy,
  { plan, record, nowMs }: { plan: string | null; record: TenantRecord | null; nowMs: number },
): Quota[] {
  const ofPlan = limitsFor(policy, { plan, record, route: null, nowMs }).limits;
  const ofRoutes = policy.routes
    .filter((route) => route.limits.some(isTenantQuota))
    .flatMap((route) => limitsFor(policy, { plan, record, route, nowMs }).limits.slice(ofPlan.length));
  return [...ofPlan, ...ofRoutes].filter(isTenantQuota);
}
