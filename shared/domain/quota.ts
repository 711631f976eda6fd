import { dateAt, zoneNamed } from './time/calendar.ts';
import type { PeriodSpan } from './time/calendar.ts';
import type { CalendarPeriod, Limit } from './limit.ts';
import type { TenantRecord } from './tenant.ts';
import type { TenantTotals } from './topics/totals.ts';
import { requestsName } from './usage/quantity.ts';
import type { Quantity } from './usage/quantity.ts';

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

/** A quota in one of its periods. */
export interface QuotaPeriod {
  readonly quota: Quota;
  readonly span: PeriodSpan;
  /** IANA zone of the span; null for UTC. */
  readonly zone: string | null;
  readonly quantity: Pick<Quantity, 'name' | 'decimals'>;
}

/**
 * What a tenant consumed of a quota in a period, in smallest units, according to announced totals. The totals contain
 * the day and the month of the tenant's calendar, and the units of the day by route. Returns `unknown` if the caller has
 * to query ClickHouse: because the totals do not contain this quota (of an hour, of a week, of a route's month, of
 * another quantity of a route), the tenant's zone has changed, or the sum is unknown. Returns `elsewhere` if the totals
 * are of an earlier or later period.
 */
export function consumedIn(
  totals: TenantTotals,
  { quota, span, zone, quantity }: QuotaPeriod,
): { readonly consumed: number; readonly reserved: number } | 'unknown' | 'elsewhere' {
  if ((totals.time_zone ?? 'UTC') !== (zone ?? 'UTC')) return 'unknown';
  if (quota.period !== 'day' && quota.period !== 'month') return 'unknown';
  const { [quota.period]: period } = totals;
  if (quota.period === 'month' && quota.route !== null) return 'unknown';
  if (period.start !== dateAt(zone, span.startMs)) return 'elsewhere';
  const isOfRequests = quota.of === requestsName;
  const reservedUnits = period.reserved?.[requestsName] ?? 0;
  if (quota.route === null) {
    if (!isOfRequests) {
      const scale = 10 ** quantity.decimals;
      const { [quota.of]: consumed = 0 } = period.quantities ?? {};
      const { [quota.of]: reserved = 0 } = period.reserved ?? {};
      return { consumed: Math.round(consumed * scale), reserved: Math.round(reserved * scale) };
    }
    return period.consumed === null ? 'unknown' : { consumed: period.consumed, reserved: reservedUnits };
  }
  // The units of a route do not say which part of them is reserved.
  if (!isOfRequests || reservedUnits > 0 || totals.day_by_route === undefined) return 'unknown';
  const { [quota.route]: ofRoute = 0 } = totals.day_by_route;
  return ofRoute === null ? 'unknown' : { consumed: ofRoute, reserved: 0 };
}
