import { periodAt } from '../../../shared/domain/time/calendar.ts';
import type { CalendarPeriod } from '../../../shared/domain/limit.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { isTenantQuota, zoneOf } from '../../../shared/domain/quota.ts';
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
 * one query for each period and time zone in use, whatever the number of tenants. Returns the counters closest to their
 * limit first, because these limits are exceeded soonest if their counters stay lost.
 */
export async function readTenantQuotas(query: TenantReadingsQuery): Promise<QuotaReading[]> {
  const { policy } = query;
  let readings: QuotaReading[] = [];
  for (const zone of zonesIn(query)) {
    for (const period of periodsIn(policy)) {
      readings = readings.concat(await readPeriod(query, period, zone));
    }
  }
  return readings.toSorted((a, b) => usedShareOf(b) - usedShareOf(a));
}

async function readPeriod(
  { clickhouse, policy, records, nowMs, tenantIds }: TenantReadingsQuery,
  period: CalendarPeriod,
  zone: string | null,
): Promise<QuotaReading[]> {
  const inZone = [...(tenantIds ?? records.keys())].filter((id) => zoneOf(records.get(id) ?? null) === zone);
  const rows = await readConsumed(clickhouse, {
    fromMs: periodAt(period, zone, nowMs).startMs,
    // Most tenants in UTC have no record, so their ids are not known here and all tenants are read.
    tenantIds: zone === null && tenantIds === undefined ? null : inZone,
  });
  const readings: QuotaReading[] = [];
  for (const [tenantId, routes] of Map.groupBy(rows, ({ tenant_id }) => tenant_id)) {
    const record = records.get(tenantId) ?? null;
    if (tenantId === anonymousTenant || zoneOf(record) !== zone) continue;
    const plans = new Set(routes.map(({ plan }) => plan));
    for (const quota of quotasOfPlans(plans, { policy, record, nowMs })) {
      if (quota.period !== period) continue;
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

function periodsIn(policy: Policy): Set<CalendarPeriod> {
  const limits = [...policy.plans.values(), ...policy.routes].flatMap(({ limits: own }) => own);
  return new Set(limits.filter(isTenantQuota).map(({ period }) => period));
}

function zonesIn({ records, tenantIds }: TenantReadingsQuery): Set<string | null> {
  if (tenantIds === undefined) return new Set([null, ...zonesOf(records)]);
  return new Set([...tenantIds].map((tenantId) => zoneOf(records.get(tenantId) ?? null)));
}

export function zonesOf(records: ReadonlyMap<string, TenantRecord>): Set<string> {
  return new Set([...records.values()].map(zoneOf).filter((zone) => zone !== null));
}

function usedShareOf({ consumed, quota }: QuotaReading): number {
  return (consumed ?? 0) / Math.max(quota.limit, 1);
}
