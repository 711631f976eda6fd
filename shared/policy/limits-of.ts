import type { Limit } from '../domain/limit.ts';
import type { Policy } from '../domain/policy.ts';

/** All limits of the policy that count requests of tenants: those of plans, then those of routes. */
export function limitsOf(policy: Policy): readonly Limit[] {
  return [
    ...[...policy.plans.values()].flatMap((plan) => plan.limits),
    ...policy.routes.flatMap((route) => [
      ...route.limits,
      ...[...(route.limitsByPlan?.values() ?? [])].flat(),
    ]),
  ];
}
