import type { Policy } from '../../domain/policy.ts';
import type { TenantRecord } from '../../domain/tenant.ts';
import { requestsName } from '../../domain/usage/quantity.ts';
import { limitsOfTenant } from '../limits.ts';
import { limitNames } from '../record/policy-violations.ts';

/** A limit that a tenant can request to be raised. */
export interface RaisableLimit {
  readonly name: string;
  /** What it counts: `requests` or a quantity of the policy. */
  readonly of: string;
  /** Decimals that a value of the limit can have. */
  readonly decimals: number;
  /**
   * Value without boosts, in the own unit of what the limit counts. If limits of several routes have the name, the
   * lowest. Undefined: the plan is unknown.
   */
  readonly value?: number;
}

export interface LimitContext {
  readonly policy: Policy;
  /** Plan of the tenant's latest request; null: none, or the record names the plan. */
  readonly seenPlan: string | null;
  /** False: the plan of the latest request is needed and could not be read. */
  readonly planKnown: boolean;
  readonly nowMs: number;
}

/** Decimals that are accepted while it is unknown what a limit counts. */
const unknownDecimals = 6;

/**
 * The limits of the tenant that a record can change. Limits of a group or of the platform are not among them. While the
 * plan of the tenant is unknown, these are the limits of all plans, without values.
 */
export function raisableLimits(
  record: TenantRecord | null,
  { policy, seenPlan, planKnown, nowMs }: LimitContext,
): readonly RaisableLimit[] {
  const decimalsOf = (of: string): number => policy.quantities.get(of)?.decimals ?? 0;
  if (!planKnown)
    return limitNames(policy).map((name) => ({ name, of: requestsName, decimals: unknownDecimals }));
  const withoutBoosts = record === null ? null : { ...record, boosts: [] };
  const { shared, individual } = limitsOfTenant(policy, withoutBoosts, seenPlan, nowMs);
  const found = new Map<string, RaisableLimit>();
  for (const { limit } of [...shared, ...individual]) {
    if (limit.per.includes('group')) continue;
    const { name, of } = limit;
    const decimals = decimalsOf(of);
    const value = limit.limit / 10 ** decimals;
    const before = found.get(name)?.value ?? Infinity;
    if (value < before) found.set(name, { name, of, decimals, value });
  }
  return [...found.values()];
}
