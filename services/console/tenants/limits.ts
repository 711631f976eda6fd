import type { Limit, LimitState } from '../../../shared/domain/limit.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { Boost, TenantRecord } from '../../../shared/domain/tenant.ts';
import { limitsFor } from '../../../shared/policy/match.ts';
import { phaseOf } from './boosts.ts';

/** A limit as it holds for one tenant now, and what made it so. */
export interface HeldLimit {
  readonly limit: Limit;
  /** What the policy alone would say; null when only the tenant's record knows it. */
  readonly ofPolicy: number | null;
  readonly override: number | null;
  readonly boost: Boost | null;
}

export interface HeldLimits {
  readonly plan: string;
  /** True when the plan comes from the policy's default: the tenant has no record that names one. */
  readonly planIsDefault: boolean;
  /** Limits that count the whole tenant: what its usage pages show live. */
  readonly shared: readonly HeldLimit[];
  /** Limits of each user, address or combination: the same for all of them, counted apart. */
  readonly apart: readonly HeldLimit[];
}

/** All limits that any request of the tenant may meet: of its plan, then of each route, overrides and boosts applied. */
export function limitsOfTenant(
  policy: Policy,
  record: TenantRecord | null,
  seenPlan: string | null,
  nowMs: number,
): HeldLimits {
  const named = record?.plan ?? seenPlan;
  const plan = named !== null && policy.plans.has(named) ? named : policy.defaultPlan;
  const held = new Map<string, HeldLimit>();
  for (const route of [null, ...policy.routes]) {
    const now = limitsFor(policy, { plan, record, route, nowMs }).limits;
    const plain = limitsFor(policy, { plan, record: null, route, nowMs }).limits;
    for (const limit of now) {
      const key = JSON.stringify([limit.name, limit.route, limit.per]);
      const before = plain.find((other) => other.name === limit.name && other.route === limit.route);
      if (!held.has(key)) held.set(key, explain(limit, before ?? null, record, nowMs));
    }
  }
  const all = [...held.values()].filter(({ limit }) => limit.type !== 'concurrent');
  const isShared = ({ limit }: HeldLimit): boolean => limit.per.length === 1 && limit.per[0] === 'tenant';
  return {
    plan,
    planIsDefault: named === null || named !== plan,
    shared: all.filter(isShared),
    apart: all.filter((one) => !isShared(one) && !one.limit.per.includes('global')),
  };
}

/** Units used of a limit, as its state in Redis says; a burst counts above the limit. */
export function usedOf(state: LimitState): number {
  return Math.max(0, state.limit - state.remaining);
}

function explain(limit: Limit, before: Limit | null, record: TenantRecord | null, nowMs: number): HeldLimit {
  const boosts = (record?.boosts ?? []).filter(
    (boost) => boost.limit === limit.name && phaseOf(boost, nowMs) === 'running',
  );
  return {
    limit,
    ofPolicy: before?.limit ?? null,
    override: record?.overrides?.[limit.name] ?? null,
    boost: boosts.toSorted((a, b) => b.ends_at.localeCompare(a.ends_at))[0] ?? null,
  };
}
