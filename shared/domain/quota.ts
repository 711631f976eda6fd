import { dateAt, zoneNamed } from './time/calendar.ts';
import type { PeriodSpan } from './time/calendar.ts';
import type { CalendarPeriod, Limit } from './limit.ts';
import type { TenantRecord } from './tenant.ts';
import type { TenantTotals } from './topics/totals.ts';

/** A calendar quota, told apart from the other kinds of limit by its period. */
export type Quota = Limit & { readonly type: 'quota'; readonly period: CalendarPeriod };

/** Quotas of anybody: a tenant, its users, addresses. */
export function isQuota(limit: Limit): limit is Quota {
  return limit.type === 'quota' && limit.period !== null;
}

/** Quotas that count a whole tenant: the ones that a tenant's totals say something about. */
export function isTenantQuota(limit: Limit): limit is Quota {
  return isQuota(limit) && limit.per.length === 1 && limit.per[0] === 'tenant';
}

/** Of a limit whose counter tenants share (an address's, everybody's) the periods are those of UTC, else of the tenant's zone. */
export function zoneOfLimit({ per }: Limit, record: TenantRecord | null): string | null {
  return per.includes('tenant') || per.includes('user') ? zoneOf(record) : null;
}

/** The zone of a tenant's quotas, null for UTC. A zone that does not exist counts as none. */
export function zoneOf(record: TenantRecord | null): string | null {
  return zoneNamed(record?.time_zone);
}

/**
 * What a tenant consumed of a quota in `span`, a period of `zone`, as far as announced totals tell. They hold the day
 * and the month of the tenant's calendar, and the day by route: of other quotas (hours, weeks, a route's month), and
 * while the tenant's zone changes, it is `unknown` and ClickHouse has to be asked, as it is of a sum that is not known. `elsewhere`: the announcement speaks
 * of an earlier or later period.
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
