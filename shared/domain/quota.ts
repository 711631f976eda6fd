import { dateAt, zoneNamed } from './time/calendar.ts';
import { calendarName, calendarParts } from './time/calendar-name.ts';
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
 * Calendar of the periods of a limit. Tenants have calendars of their own, so counters that several tenants share (of an
 * address, of a group or of the platform) use UTC. A month begins on the tenant's billing day, or else on that of the
 * limit.
 */
export function calendarOfLimit(limit: Limit, record: TenantRecord | null): string | null {
  return calendarOfCounter(limit, isShared(limit) ? null : calendarOf(record));
}

/** The same for a counter: `calendar` is that of its tenant, or null if tenants share the counter. */
export function calendarOfCounter(
  { period, billingDay }: Pick<Limit, 'period' | 'billingDay'>,
  calendar: string | null,
): string | null {
  const { zone } = calendarParts(calendar);
  if (period !== 'month') return zone === 'UTC' ? null : zone;
  const own = calendar?.includes('@') === true;
  return own || billingDay === undefined
    ? calendarName(calendarParts(calendar))
    : calendarName({ zone, billingDay });
}

function isShared({ per }: Limit): boolean {
  if (per.includes('group')) return true;
  if (per.includes('tenant') || per.includes('user')) return false;
  return per.includes('ip') || per.includes('global');
}

const calendars = new WeakMap<TenantRecord, string | null>();

/**
 * Calendar of a tenant: the zone and the billing day of its record. A billing day of 1 is part of the text if the record
 * has it, because it has precedence over that of a limit. The result is cached for each record.
 */
export function calendarOf(record: TenantRecord | null): string | null {
  if (record === null) return null;
  const { time_zone: name, billing_day: billingDay } = record;
  if (name === undefined && billingDay === undefined) return null;
  let calendar = calendars.get(record);
  if (calendar === undefined) {
    const zone = zoneNamed(name);
    calendar = billingDay === undefined ? zone : `${zone ?? 'UTC'}@${billingDay}`;
    calendars.set(record, calendar);
  }
  return calendar;
}

/** A quota in one of its periods. */
export interface QuotaPeriod {
  readonly quota: Quota;
  readonly span: PeriodSpan;
  /** Calendar of the span; null for UTC. */
  readonly calendar: string | null;
  readonly quantity: Pick<Quantity, 'name' | 'decimals'>;
}

/**
 * What a tenant consumed of a quota in a period, in smallest units, according to announced totals. The totals contain
 * the day and the month of the tenant's calendar, and the units of the day by route. Returns `unknown` if the caller has
 * to query ClickHouse: because the totals do not contain this quota (of an hour, of a week, of a route's month, of
 * another quantity of a route), they are of another calendar, or the sum is unknown. Returns `elsewhere` if the totals
 * are of an earlier or later period.
 */
export function consumedIn(
  totals: TenantTotals,
  { quota, span, calendar, quantity }: QuotaPeriod,
): { readonly consumed: number; readonly reserved: number } | 'unknown' | 'elsewhere' {
  if (quota.period !== 'day' && quota.period !== 'month') return 'unknown';
  const { zone, billingDay } = calendarParts(calendar);
  if ((totals.time_zone ?? 'UTC') !== (zone ?? 'UTC')) return 'unknown';
  if (quota.period === 'month' && (totals.billing_day ?? 1) !== billingDay) return 'unknown';
  const { [quota.period]: period } = totals;
  if (quota.period === 'month' && quota.route !== null) return 'unknown';
  if (period.start !== dateAt(calendar, span.startMs)) return 'elsewhere';
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
