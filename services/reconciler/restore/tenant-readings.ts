import { periodAt } from '../../../shared/domain/time/calendar.ts';
import type { CalendarPeriod, Limit } from '../../../shared/domain/limit.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { calendarOf, calendarOfLimit, isTenantQuota } from '../../../shared/domain/quota.ts';
import type { Quota } from '../../../shared/domain/quota.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { anonymousTenant } from '../../../shared/domain/usage-event.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { readConsumed } from '../../../shared/clickhouse/queries/consumption/consumed.ts';
import { addCounted, countedAmount, nothingCounted } from '../../../shared/domain/usage/consumption.ts';
import { openReading, quotasFor } from '../../../shared/policy/quota-readings.ts';
import type { QuotaReading } from '../../../shared/policy/quota-readings.ts';

/** Selects the quota counters of tenants whose units are read from ClickHouse. */
export interface TenantReadingsQuery {
  readonly clickhouse: ClickHouse;
  readonly policy: Policy;
  readonly records: ReadonlyMap<string, TenantRecord>;
  readonly nowMs: number;
  /** The tenants to read; absent: all. */
  readonly tenantIds?: ReadonlySet<string>;
}

/**
 * Reads what ClickHouse counts for every quota counter of every tenant with usage in a current period. Sends
 * one query for each period and calendar in use, whatever the number of tenants. Returns the counters closest to their
 * limit first, because these limits are exceeded soonest if their counters stay lost.
 */
export async function readTenantQuotas(query: TenantReadingsQuery): Promise<QuotaReading[]> {
  let readings: QuotaReading[] = [];
  const quotas = limitsOf(query.policy).filter(isTenantQuota);
  for (const { period, calendar } of periodsOf(quotas, query)) {
    readings = readings.concat(await readPeriod(query, period, calendar));
  }
  return readings.toSorted((a, b) => usedShareOf(b) - usedShareOf(a));
}

async function readPeriod(
  { clickhouse, policy, records, nowMs, tenantIds }: TenantReadingsQuery,
  period: CalendarPeriod,
  calendar: string | null,
): Promise<QuotaReading[]> {
  const has = (quota: Quota, record: TenantRecord | null): boolean =>
    quota.period === period && calendarOfLimit(quota, record) === calendar;
  const quotas = limitsOf(policy).filter(isTenantQuota);
  const withRecord = [...(tenantIds ?? records.keys())].filter((id) =>
    quotas.some((quota) => has(quota, records.get(id) ?? null)),
  );
  const isOfTenantsWithoutRecord = quotas.some((quota) => has(quota, null));
  const rows = await readConsumed(clickhouse, {
    fromMs: periodAt(period, calendar, nowMs).startMs,
    // Most tenants have no record, so their ids are not known here and all tenants are read.
    tenantIds: isOfTenantsWithoutRecord && tenantIds === undefined ? null : withRecord,
  });
  const readings: QuotaReading[] = [];
  for (const [tenantId, routes] of Map.groupBy(rows, ({ tenant_id }) => tenant_id)) {
    const record = records.get(tenantId) ?? null;
    if (tenantId === anonymousTenant) continue;
    const plans = new Set(routes.map(({ plan }) => plan));
    for (const quota of quotasOfPlans(plans, { policy, record, nowMs })) {
      if (!has(quota, record)) continue;
      const reading = openReading(policy, tenantId, quota, { record, atMs: nowMs });
      const counted = routes
        .filter(({ route }) => quota.route === null || quota.route === route)
        .reduce((sum, row) => addCounted(sum, countedAmount(row, reading.quantity)), nothingCounted);
      readings.push({ ...reading, ...counted });
    }
  }
  return readings;
}

/**
 * Returns the quotas of all plans that a tenant had within the period. Equal quotas of several plans share one counter, so each
 * counter appears once.
 */
function quotasOfPlans(
  plans: ReadonlySet<string>,
  { policy, record, nowMs }: { policy: Policy; record: TenantRecord | null; nowMs: number },
): Iterable<Quota> {
  const quotas = new Map<string, Quota>();
  for (const plan of plans) {
    for (const quota of quotasFor(policy, { plan, record, nowMs })) {
      quotas.set(JSON.stringify([quota.name, quota.period, quota.route]), quota);
    }
  }
  return quotas.values();
}

/** The limits of all plans and routes. */
export function limitsOf({ plans, routes }: Policy): readonly Limit[] {
  return [...plans.values(), ...routes].flatMap(({ limits }) => limits);
}

/** A kind of period in a calendar. */
export interface CalendarOfPeriod {
  readonly period: CalendarPeriod;
  readonly calendar: string | null;
}

/** The periods of these quotas in the calendars of all tenants, or of the tenants of the query; each of them once. */
export function periodsOf(
  quotas: readonly Quota[],
  { records, tenantIds }: TenantReadingsQuery,
): Iterable<CalendarOfPeriod> {
  const owners =
    tenantIds === undefined
      ? [null, ...records.values()]
      : [...tenantIds].map((tenantId) => records.get(tenantId) ?? null);
  const calendars = new Map<string, TenantRecord | null>(
    owners.map((record) => [calendarOf(record) ?? '', record]),
  );
  const found = new Map<string, CalendarOfPeriod>();
  for (const quota of quotas) {
    for (const record of calendars.values()) {
      const calendar = calendarOfLimit(quota, record);
      found.set(`${quota.period} ${calendar ?? ''}`, { period: quota.period, calendar });
    }
  }
  return found.values();
}

function usedShareOf({ consumed, quota }: QuotaReading): number {
  return (consumed ?? 0) / Math.max(quota.limit, 1);
}
