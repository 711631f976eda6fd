import { runningBoosts } from '../domain/boost.ts';
import type { Limit, LimitState } from '../domain/limit.ts';
import type { Policy } from '../domain/policy.ts';
import type { Boost, TenantRecord } from '../domain/tenant.ts';
import { limitsFor } from '../policy/match.ts';

/** A limit that applies to a tenant now, and where its value comes from. */
export interface TenantLimit {
  readonly limit: Limit;
  /** Value in the policy, without the tenant's record; null for a limit that applies only because of the record. */
  readonly ofPolicy: number | null;
  readonly override: number | null;
  readonly boost: Boost | null;
}

export interface TenantLimits {
  readonly plan: string;
  /** Limits that count all usage of the tenant. The pages show their current usage. */
  readonly shared: readonly TenantLimit[];
  /** Limits with a separate counter for each user, address or combination. The value is the same for all counters. */
  readonly individual: readonly TenantLimit[];
  /**
   * Limits of requests in progress at the same time: those of the plan and its routes, and the share of the platform that
   * one tenant or one address may hold. Their counters are leases of the gateways, so the pages show no usage.
   */
  readonly concurrent: readonly TenantLimit[];
}

/**
 * All limits that can apply to requests of the tenant, with overrides and boosts: limits of the plan, then limits of
 * each route.
 */
export function limitsOfTenant(
  policy: Policy,
  record: TenantRecord | null,
  seenPlan: string | null,
  nowMs: number,
): TenantLimits {
  const named = record?.plan ?? seenPlan;
  const plan = named !== null && policy.plans.has(named) ? named : policy.defaultPlan;
  const found = new Map<string, TenantLimit>();
  for (const route of [null, ...policy.routes]) {
    const effective = limitsFor(policy, { plan, record, route, nowMs }).limits;
    const ofPolicy = limitsFor(policy, { plan, record: null, route, nowMs }).limits;
    for (const limit of effective) {
      const key = JSON.stringify([limit.name, limit.route, limit.per]);
      const before = ofPolicy.find((other) => other.name === limit.name && other.route === limit.route);
      if (!found.has(key)) found.set(key, explainLimit(limit, before ?? null, record, nowMs));
    }
  }
  const isConcurrent = ({ limit }: TenantLimit): boolean => limit.type === 'concurrent';
  const all = [...found.values()].filter((one) => !isConcurrent(one));
  const isShared = ({ limit }: TenantLimit): boolean => limit.per.length === 1 && limit.per[0] === 'tenant';
  return {
    plan,
    shared: all.filter(isShared),
    individual: all.filter((one) => !isShared(one) && !one.limit.per.includes('global')),
    concurrent: [
      ...[...found.values()].filter((one) => isConcurrent(one) && !one.limit.per.includes('global')),
      ...policy.shares.map((limit) => ({ limit, ofPolicy: limit.limit, override: null, boost: null })),
    ],
  };
}

/** Used units of a limit, reserved units included; 0 if a burst makes `remaining` larger than `limit`. */
export function unitsUsed(state: LimitState): number {
  return Math.max(0, state.limit - state.remaining);
}

function explainLimit(
  limit: Limit,
  ofPolicy: Limit | null,
  record: TenantRecord | null,
  nowMs: number,
): TenantLimit {
  const boosts = runningBoosts(record, nowMs).filter((boost) => boost.limit === limit.name);
  return {
    limit,
    ofPolicy: ofPolicy?.limit ?? null,
    override: record?.overrides?.[limit.name] ?? null,
    boost: boosts.toSorted((a, b) => b.ends_at.localeCompare(a.ends_at))[0] ?? null,
  };
}
