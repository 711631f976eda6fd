import { dateAt, zoneNamed } from './time/calendar.ts';
import type { PeriodSpan } from './time/calendar.ts';
import type { CalendarPeriod, Limit } from './limit.ts';
import type { TenantRecord } from './tenant.ts';
import type { TenantTotals } from './topics/totals.ts';

/** A calendar quota: a limit with a period. */
export type Quota = Limit & { readonly type: 'quota'; readonly period: CalendarPeriod };

/** Any quota: of a tenant, a user, an address or the platform. */
export function isQuota(limit: Limit): limit is Quota {
  return limit.type === 'quota' && limit.period !== null;
}

/** Quotas that count a whole tenant, which the announced totals of the tenant cover. */
export function isTenantQuota(limit: Limit): limit is Quota {
  return isQuota(limit) && limit.per.length === 1 && limit.per[0] === 'tenant';
}

/** Zone of the periods of a limit: the tenant's, or UTC (null) for a counter that tenants share (of an address, of the platform). */
export function zoneOfLimit({ per }: Limit, record: TenantRecord | null): string | null {
  return per.includes('tenant') || per.includes('user') ? zoneOf(record) : null;
}

/** Zone of the tenant's quotas; null for UTC and for a zone that does not exist. */
export function zoneOf(record: TenantRecord | null): string | null {
  return zoneNamed(record?.time_zone);
}

/**
 * Units that a tenant consumed of a quota in `span`, a period of `zone`, according to announced totals. Totals cover the
 * day and the month of the tenant's calendar and the day by route. `unknown`: the caller has to query ClickHouse, because
 * the quota is another one (an hour, a week, a route's month), the tenant's zone has changed, or the sum is unknown.
 * `elsewhere`: the announcement is about an earlier or later period.
 */
export function consumedIn(
  totals: TenantTotals,
  quota: Quota,
  span: PeriodSpan,
  zone: string | null,
): number | 'unknown' | 'elsewhere' {
  if ((totals.time_zone ?? 'UTC') !== (zone ?? 'UTC')) return 'unknown';
  const start = dateAt(zone, span.startMs);
  if (quota.period === 'day') {
    if (totals.day.start !== start) return 'elsewhere';
    if (quota.route === null) return totals.day.consumed ?? 'unknown';
    if (totals.day_by_route === undefined) return 'unknown';
    const { [quota.route]: ofRoute = 0 } = totals.day_by_route;
    return ofRoute ?? 'unknown';
  }
  if (quota.period !== 'month' || quota.route !== null) return 'unknown';
  return totals.month.start === start ? (totals.month.consumed ?? 'unknown') : 'elsewhere';
}
