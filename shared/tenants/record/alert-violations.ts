import type { Limit } from '../../domain/limit.ts';
import type { Policy } from '../../domain/policy.ts';
import { isTenantQuota } from '../../domain/quota.ts';
import type { LimitNotifications } from '../../domain/tenant.ts';
import { limitsOf } from '../../policy/limits-of.ts';
import type { Violation } from '../../runtime/http/schema-violations.ts';

/** Settings of single limits that can never cause a notification under the policy, each with the setting that can. */
export function violationsOfLimitAlerts(
  settings: Readonly<Record<string, LimitNotifications>>,
  policy: Policy,
): readonly Violation[] {
  const known = limitsOfTenants(policy);
  return Object.entries(settings).flatMap(([name, one]) => {
    // The settings of a limit that the policy no longer has can be removed.
    if (Object.keys(one).length === 0) return [];
    const field = `notifications.limits.${name}`;
    const own = known.filter((limit) => limit.name === name);
    if (own.length === 0) return [{ field, reason: unknownReason(name, policy, known) }];
    if (one.thresholds === undefined || own.some(isTenantQuota)) return [];
    const reason = `“${name}” is no calendar quota of the whole tenant, so it has no used share; set \`refusals\``;
    return [{ field: `${field}.thresholds`, reason }];
  });
}

/** All limits that can refuse the requests of single tenants. */
function limitsOfTenants(policy: Policy): readonly Limit[] {
  const ofApi = [...policy.plans.values()].flatMap(({ api }) => [
    ...api.requests,
    ...api.events,
    ...api.eventBytes,
  ]);
  return [...limitsOf(policy), ...ofApi, ...[...policy.groups.values()].flat(), ...policy.shares];
}

function unknownReason(name: string, { platform }: Policy, known: readonly Limit[]): string {
  if (platform.some((limit) => limit.name === name))
    return `“${name}” is a limit of the whole platform, of which tenants are not notified`;
  const names = [...new Set(known.map((limit) => limit.name))].join(', ');
  return `the policy has no limit “${name}”; it has: ${names}`;
}
