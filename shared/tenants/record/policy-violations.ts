import type { Limit } from '../../domain/limit.ts';
import type { Policy } from '../../domain/policy.ts';
import type { TenantRecord } from '../../domain/tenant.ts';
import type { Violation } from '../../runtime/http/schema-violations.ts';

/** Names of limits that an override or a boost may have. */
export function limitNames(policy: Policy): readonly string[] {
  return [...new Set(limitsOf(policy).map((limit) => limit.name))];
}

/**
 * Plans and limits of a record that the policy does not have, for the writers of records. Readers do not check this: a
 * policy may change, and no record may become unreadable by that.
 */
export function violationsOfPolicy(
  { plan, overrides = {}, boosts = [] }: Partial<TenantRecord>,
  policy: Policy,
): readonly Violation[] {
  const known = limitNames(policy);
  const limits = [
    ...Object.keys(overrides).map((name) => ({ field: `overrides.${name}`, name })),
    ...boosts.map(({ limit }, index) => ({ field: `boosts.${index}.limit`, name: limit })),
  ];
  const unknown = limits.filter(({ name }) => !known.includes(name));
  return [
    ...(plan === undefined || policy.plans.has(plan)
      ? []
      : [
          {
            field: 'plan',
            reason: `the policy has no plan “${plan}”; it has: ${[...policy.plans.keys()].join(', ')}`,
          },
        ]),
    ...unknown.map(({ field, name }) => ({
      field,
      reason: `the policy has no limit “${name}”; it has: ${known.join(', ')}`,
    })),
  ];
}

/** All limits of the policy that count something, by plan, then route. */
function limitsOf(policy: Policy): readonly Limit[] {
  return [
    ...[...policy.plans.values()].flatMap((plan) => plan.limits),
    ...policy.routes.flatMap((route) => [
      ...route.limits,
      ...[...(route.limitsByPlan?.values() ?? [])].flat(),
    ]),
  ];
}
