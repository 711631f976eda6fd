import type { Policy } from '../../domain/policy.ts';
import { requestsName } from '../../domain/usage/quantity.ts';
import type { TenantRecord } from '../../domain/tenant.ts';
import type { Violation } from '../../runtime/http/schema-violations.ts';
import { violationsOfLimitAlerts } from './alert-violations.ts';
import { limitsOf } from '../../policy/limits-of.ts';

/** Names of limits to which an override or a boost may refer. */
export function limitNames(policy: Policy): readonly string[] {
  return [...new Set(limitsOf(policy).map((limit) => limit.name))];
}

/** What the limits of this name count: `requests` or a quantity of the policy. */
export function quantityOfLimit(policy: Policy, name: string): string {
  return limitsOf(policy).find((limit) => limit.name === name)?.of ?? requestsName;
}

/**
 * Plans and limits that a record names and the policy does not define, and settings of limits that can have no effect. `before` is the
 * record before the change. Only writers of records check this: if readers did, a change of the policy could make stored records
 * invalid.
 */
export function violationsOfPolicy(
  { plan, overrides = {}, boosts = [], notifications }: Partial<TenantRecord>,
  policy: Policy,
  before: TenantRecord | null = null,
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
    ...violationsOfLimitAlerts(notifications?.limits ?? {}, policy, before?.notifications?.limits ?? {}),
  ];
}
