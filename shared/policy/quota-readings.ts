import type { Amount } from '../domain/amount.ts';
import { periodAt } from '../domain/time/calendar.ts';
import type { PeriodSpan } from '../domain/time/calendar.ts';
import type { Limit } from '../domain/limit.ts';
import type { Policy } from '../domain/policy.ts';
import { calendarOfLimit, consumedIn, isTenantQuota } from '../domain/quota.ts';
import type { Quota } from '../domain/quota.ts';
import type { TenantRecord } from '../domain/tenant.ts';
import type { TenantTotals } from '../domain/topics/totals.ts';
import { anonymousTenant } from '../domain/usage-event.ts';
import { quantityOf } from '../domain/usage/consumption.ts';
import type { Quantity } from '../domain/usage/quantity.ts';
import { limitsFor } from './match.ts';

/** A tenant's quota in one period, with its consumption if that is available. */
export interface QuotaReading {
  readonly tenantId: string;
  readonly quota: Quota;
  readonly span: PeriodSpan;
  /** Calendar of the span; null for UTC. */
  readonly calendar: string | null;
  readonly quantity: Pick<Quantity, 'name' | 'decimals'>;
  /** Consumed in the span, in smallest units of the quantity; null if the caller has to query ClickHouse. */
  readonly consumed: number | null;
  /** The part of `consumed` that belongs to open reservations; null if it is unknown. */
  readonly reserved: Amount;
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
    const reading = openReading(policy, totals.tenant_id, quota, { record, atMs });
    const counted = consumedIn(totals, reading);
    if (counted === 'unknown') readings.push(reading);
    else if (counted !== 'elsewhere') readings.push({ ...reading, ...counted });
  }
  return readings;
}

/** A reading of a quota for the period that contains `atMs`, with unknown consumption. */
export function openReading(
  { quantities }: Pick<Policy, 'quantities'>,
  tenantId: string,
  quota: Quota,
  { record, atMs }: { readonly record: TenantRecord | null; readonly atMs: number },
): QuotaReading {
  const calendar = calendarOfLimit(quota, record);
  const span = periodAt(quota.period, calendar, atMs);
  const resetAtMs = record?.reset?.at_ms ?? 0;
  return {
    tenantId,
    quota,
    span,
    calendar,
    quantity: quantityOf(quantities, quota.of),
    consumed: null,
    reserved: null,
    resetAtMs: resetAtMs > span.startMs && resetAtMs < span.endMs ? resetAtMs : null,
  };
}

/**
 * All quotas of a plan and of all routes, with overrides and boosts applied. `counts` selects the limits; by default
 * the quotas that count a whole tenant.
 */
export function quotasFor(
  policy: Policy,
  { plan, record, nowMs }: { plan: string | null; record: TenantRecord | null; nowMs: number },
  counts: (limit: Limit) => limit is Quota = isTenantQuota,
): Quota[] {
  const ofPlan = limitsFor(policy, { plan, record, route: null, nowMs, reserve: true }).limits;
  const ofRoutes = policy.routes
    .filter((route) => route.limits.some(counts))
    .flatMap((route) => limitsFor(policy, { plan, record, route, nowMs, reserve: true }).limits)
    .filter((limit) => limit.route !== null);
  return [...ofPlan, ...ofRoutes].filter(counts);
}
