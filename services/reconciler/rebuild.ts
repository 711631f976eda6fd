import { periodAt } from '../../shared/domain/calendar.ts';
import type { CalendarPeriod } from '../../shared/domain/limit.ts';
import type { Policy } from '../../shared/domain/policy.ts';
import { isTenantQuota, zoneOf } from '../../shared/domain/quota.ts';
import type { TenantRecord } from '../../shared/domain/tenant.ts';
import { anonymousTenant } from '../../shared/domain/usage-event.ts';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { readConsumed } from '../../shared/clickhouse/consumed.ts';
import type { Consumed } from '../../shared/clickhouse/consumed.ts';
import { quotasFor } from '../../shared/policy/quotas.ts';
import { healOf } from './heals.ts';
import type { Heal } from './heals.ts';

export interface RebuildQuestion {
  readonly clickhouse: ClickHouse;
  readonly policy: Policy;
  readonly records: ReadonlyMap<string, TenantRecord>;
  readonly nowMs: number;
}

/**
 * Every quota counter of every tenant that consumed something in a period that runs now, with what ClickHouse counts.
 * One read for each period and zone in use, whatever the number of tenants. Those closest to their limit come first:
 * they are the ones that a lost counter lets through.
 */
export async function healsOfAll(question: RebuildQuestion): Promise<Heal[]> {
  const { policy, records } = question;
  const heals: Heal[] = [];
  for (const zone of [null, ...zonesOf(records)]) {
    for (const period of periodsIn(policy)) heals.push(...(await healsOfPeriod(question, period, zone)));
  }
  return heals.toSorted((a, b) => shareOf(b) - shareOf(a));
}

async function healsOfPeriod(
  { clickhouse, policy, records, nowMs }: RebuildQuestion,
  period: CalendarPeriod,
  zone: string | null,
): Promise<Heal[]> {
  const inZone = [...records.values()].filter((record) => zoneOf(record) === zone);
  const rows = await readConsumed(clickhouse, {
    fromMs: periodAt(period, zone, nowMs).startMs,
    tenantIds: zone === null ? null : inZone.map(({ tenant_id }) => tenant_id),
  });
  const heals: Heal[] = [];
  for (const [tenantId, routes] of Map.groupBy(rows, ({ tenant_id }) => tenant_id)) {
    const record = records.get(tenantId) ?? null;
    if (tenantId === anonymousTenant || zoneOf(record) !== zone) continue;
    const plan = routes.reduce((latest, row) => (row.plan > latest ? row.plan : latest), '');
    for (const quota of quotasFor(policy, { plan, record, nowMs })) {
      if (quota.period !== period) continue;
      heals.push({ ...healOf(tenantId, quota, record, nowMs), consumed: unitsOf(routes, quota.route) });
    }
  }
  return heals;
}

function unitsOf(routes: readonly Consumed[], route: string | null): number {
  return routes.reduce((sum, row) => (route === null || row.route === route ? sum + row.units : sum), 0);
}

function periodsIn(policy: Policy): Set<CalendarPeriod> {
  const limits = [...policy.plans.values(), ...policy.routes].flatMap(({ limits: own }) => own);
  return new Set(limits.filter(isTenantQuota).map(({ period }) => period));
}

function zonesOf(records: ReadonlyMap<string, TenantRecord>): Set<string> {
  return new Set([...records.values()].map(zoneOf).filter((zone) => zone !== null));
}

function shareOf({ consumed, quota }: Heal): number {
  return (consumed ?? 0) / Math.max(quota.limit, 1);
}
