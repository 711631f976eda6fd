import type { Limit } from '../../domain/limit.ts';
import type { Policy } from '../../domain/policy.ts';
import { isTenantQuota } from '../../domain/quota.ts';
import type { LimitNotifications } from '../../domain/tenant.ts';
import { limitsOf } from '../../policy/limits-of.ts';
import type { Violation } from '../../runtime/http/schema-violations.ts';

/**
 * Settings of single limits that can never cause a notification under the policy, each with the setting that can. `stored` has the
 * settings in the record before the change.
 */
export function violationsOfLimitAlerts(
  settings: Readonly<Record<string, LimitNotifications>>,
  policy: Policy,
  stored: Readonly<Record<string, LimitNotifications>>,
): readonly Violation[] {
  const known = limitsOfTenants(policy);
  return Object.entries(settings).flatMap(([name, one]) => {
    // The stored settings of a limit that the policy no longer has can be removed.
    if (Object.keys(one).length === 0 && Object.hasOwn(stored, name)) return [];
    const field = `notifications.limits.${name}`;
    const own = known.filter((limit) => limit.name === name);
    if (own.length === 0) return [{ field, reason: unknownReason(name, policy, known) }];
    return [
      ...(one.refusals !== undefined && own.every(({ mode }) => mode === 'shadow')
        ? [{ field: `${field}.refusals`, reason: `“${name}” is in shadow mode, so it refuses nothing` }]
        : []),
      ...(one.thresholds !== undefined && !own.some(isTenantQuota)
        ? [{ field: `${field}.thresholds`, reason: withoutShare(name) }]
        : []),
    ];
  });
}

function withoutShare(name: string): string {
  return `“${name}” is no calendar quota of the whole tenant, so it has no used share; set \`refusals\``;
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
