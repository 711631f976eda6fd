import type { Identity } from '../../../shared/domain/identity.ts';
import { attributeNames } from '../../../shared/domain/limit.ts';
import type { Attributes, Limit } from '../../../shared/domain/limit.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { anonymousTenant } from '../../../shared/domain/usage-event.ts';
import { chargeRuleOf, limitsFor } from '../../../shared/policy/match.ts';
import type { TenantRecords } from '../enforcer/identify.ts';
import { passes } from '../enforcer/verdict.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/** The units that a decision charged, if the policy gives them back for some statuses of the response. */
export interface ReturnableCharge {
  readonly unlessStatus: ReadonlySet<number>;
  readonly identity: Pick<Identity, 'tenantId' | 'userId' | 'ip'>;
  readonly limits: readonly Limit[];
  readonly units: number;
  /** Values of the attributes that the limits count. */
  readonly attributes: Attributes | undefined;
  /** Unix milliseconds at which the units were charged, or a time shortly before. */
  readonly atMs: number;
}

/** A decision as ClickHouse stores it. */
export interface StoredDecision {
  readonly tenantId: string;
  readonly userId: string;
  readonly ip: string;
  readonly plan: string;
  readonly route: string;
  readonly entrypoint: string;
  readonly outcome: string;
  readonly degraded: boolean;
  /** Whether the request has a reservation. */
  readonly reserved: boolean;
  readonly units: number;
  readonly timeMs: number;
}

/**
 * Returns the units of a decision that may be given back. Null if the policy gives none back, and if the decision
 * charged nothing in Redis: it was refused, bypassed the limits, or was made without Redis. Null also for a request with a
 * reservation, whose units are returned when it is cancelled: they must not be returned twice.
 */
export function returnableCharge(verdict: Verdict): ReturnableCharge | null {
  const { plan, route, decision, units, identity, limits, attributes } = verdict;
  const rule = chargeRuleOf(plan, route);
  if (rule === null || rule.unlessStatus.size === 0 || units === 0) return null;
  if (verdict.reservation !== null) return null;
  if (!passes(verdict) || decision.outcome === 'bypassed' || decision.degraded) return null;
  return { unlessStatus: rule.unlessStatus, identity, limits, units, attributes, atMs: verdict.atMs };
}

/**
 * Like `returnableCharge`, for a decision that is not in this node's memory. The limits are those of the running policy: if
 * a limit was added after the decision, it lets through as many units as the decision had.
 */
export function storedCharge(
  { tenantId, userId, ip, plan: planName, units, timeMs: atMs, ...stored }: StoredDecision,
  policy: Policy,
  records: TenantRecords,
  nowMs: number,
): ReturnableCharge | null {
  if (stored.reserved || stored.degraded || stored.outcome === 'limited' || stored.outcome === 'bypassed')
    return null;
  // The limits of Envoy's rate limit service are those of the request's descriptors, which events do not have.
  if (stored.entrypoint === 'rls' || units < 1) return null;
  const record = tenantId === anonymousTenant ? null : (records.get(tenantId) ?? null);
  const route = policy.routes.find(({ match }) => match === stored.route) ?? null;
  const { plan, limits } = limitsFor(policy, { plan: planName, record, route, nowMs });
  const rule = chargeRuleOf(plan, route);
  if (rule === null || rule.unlessStatus.size === 0) return null;
  const identity = {
    tenantId: tenantId === anonymousTenant ? null : tenantId,
    userId: userId === '' ? null : userId,
    ip,
  };
  // Events have no attributes, so the units in their counters stay charged.
  const counted = limits.filter((limit) => attributeNames(limit).length === 0);
  return { unlessStatus: rule.unlessStatus, identity, limits: counted, units, attributes: undefined, atMs };
}
