import { periodAt } from '../domain/time/calendar.ts';
import type { PeriodSpan } from '../domain/time/calendar.ts';
import type { Limit } from '../domain/limit.ts';
import type { Policy } from '../domain/policy.ts';
import { consumedIn, isTenantQuota, zoneOf } from '../domain/quota.ts';
import type { Quota } from '../domain/quota.ts';
import type { TenantRecord } from '../domain/tenant.ts';
import type { TenantTotals } from '../domain/topics/totals.ts';
import { anonymousTenant } from '../domain/usage-event.ts';
import { requestsName } from '../domain/usage/quantity.ts';
import { limitsFor } from './match.ts';

/** A tenant's quota in one period, with its consumption if that is available. */
export interface QuotaReading {
  readonly tenantId: string;
  readonly quota: Quota;
  readonly span: PeriodSpan;
  /** IANA zone of the span; null for UTC. */
  readonly zone: string | null;
  /** Units consumed in the span; null if the caller has to query ClickHouse. */
  readonly consumed: number | null;
  /**
   * Unix milliseconds of a reset within the span, since which units are counted again from 0; null if there was none.
   */
  readonly resetAtMs: number | null;
}

/** Readings of a tenant's quotas, computed from announced totals. Contains only periods that contain `atMs`. */
export function readingsOf(
  totals: TenantTotals,
  policy: Policy,
  record: TenantRecord | null,
  atMs: number,
): QuotaReading[] {
  if (totals.tenant_id === anonymousTenant) return [];
  const readings: QuotaReading[] = [];
  for (const quota of quotasFor(policy, { plan: totals.plan, record, nowMs: atMs })) {
    const reading = openReading(totals.tenant_id, quota, record, atMs);
    const consumed = consumedIn(totals, quota, reading.span, reading.zone);
    if (consumed !== 'elsewhere') {
      readings.push({ ...reading, consumed: consumed === 'unknown' ? null : consumed });
    }
  }
  return readings;
}

/** A reading of a quota for the period that contains `atMs`, with unknown consumption. */
export function openReading(
  tenantId: string,
  quota: Quota,
  record: TenantRecord | null,
  atMs: number,
): QuotaReading {
  const zone = zoneOf(record);
  const span = periodAt(quota.period, zone, atMs);
  const resetAtMs = record?.reset?.at_ms ?? 0;
  return {
    tenantId,
    quota,
    span,
    zone,
    consumed: null,
    resetAtMs: resetAtMs > span.startMs && resetAtMs < span.endMs ? resetAtMs : null,
  };
}

/**
 * All quotas of a plan and of all routes, with overrides and boosts applied. `counts` selects the limits; by default
 * the quotas that count a whole tenant. Quotas of other quantities than `requests` are left out, because totals do not
 * contain their consumption.
 */
export function quotasFor(
  policy: Policy,
  { plan, record, nowMs }: { plan: string | null; record: TenantRecord | null; nowMs: number },
  counts: (limit: Limit) => limit is Quota = isTenantQuota,
): Quota[] {
  const ofPlan = limitsFor(policy, { plan, record, route: null, nowMs }).limits;
  const ofRoutes = policy.routes
    .filter((route) => route.limits.some(counts))
    .flatMap((route) => limitsFor(policy, { plan, record, route, nowMs }).limits)
    .filter((limit) => limit.route !== null);
  return [...ofPlan, ...ofRoutes].filter(counts).filter(({ of }) => of === requestsName);
}
