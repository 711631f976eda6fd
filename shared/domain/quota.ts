import { dateAt, zoneNamed } from './time/calendar.ts';
import type { PeriodSpan } from './time/calendar.ts';
import type { CalendarPeriod, Limit } from './limit.ts';
import type { TenantRecord } from './tenant.ts';
import type { TenantTotals } from './topics/totals.ts';

/** A limit that counts units per calendar period. */
export type Quota = Limit & { readonly type: 'quota'; readonly period: CalendarPeriod };

/** A quota of any kind: of a tenant, a user, an address or the platform. */
export function isQuota(limit: Limit): limit is Quota {
  return limit.type === 'quota' && limit.period !== null;
}

/**
 * Whether the quota counts all usage of a tenant. The tenant's announced totals contain the consumption of these
 * quotas.
 */
export function isTenantQuota(limit: Limit): limit is Quota {
  return isQuota(limit) && limit.per.length === 1 && limit.per[0] === 'tenant';
}

/**
 * Zone of the calendar periods of a limit. Null means UTC; the result is always null for a counter that several
 * tenants share (of an address or of the platform).
 */
export function zoneOfLimit({ per }: Limit, record: TenantRecord | null): string | null {
  return per.includes('tenant') || per.includes('user') ? zoneOf(record) : null;
}

/** Zone of the tenant's quotas. Null means UTC; also null if the record names a zone that does not exist. */
export function zoneOf(record: TenantRecord | null): string | null {
  return zoneNamed(record?.time_zone);
}

/**
 * Units of a quota that a tenant consumed in `span`, a period of `zone`, according to announced totals. The totals
 * contain the day and the month of the tenant's calendar, and the day by route. Returns `unknown` if the caller has
 * to query ClickHouse: because the totals do not contain this quota (of an hour, of a week, of a route's month), the
 * tenant's zone has changed, or the sum is unknown. Returns `elsewhere` if the totals are of an earlier or later
 * period.
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
