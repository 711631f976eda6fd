import type { ClickHouse } from '../clickhouse/client.ts';
import { readConsumed } from '../clickhouse/queries/consumption/consumed.ts';
import { readUnreturned } from '../clickhouse/queries/reservations.ts';
import type { ExactAmounts } from '../domain/events/call-usage.ts';
import { approximateMoney } from '../domain/money.ts';
import { requestsName } from '../domain/usage/quantity.ts';
import { completeReadings } from '../clickhouse/queries/consumption/complete-readings.ts';
import { periodAt } from '../domain/time/calendar.ts';
import type { Policy } from '../domain/policy.ts';
import type { TenantRecord } from '../domain/tenant.ts';
import { anonymousTenant } from '../domain/usage-event.ts';
import { openReading, quotasFor } from '../policy/quota-readings.ts';
import type { QuotaReading } from '../policy/quota-readings.ts';
import type { Limiter } from '../redis/decision/limiter.ts';

/**
 * A quota counter that is higher in Redis than in ClickHouse, although ClickHouse has all events of the counter. Amounts are in
 * the own unit of the quota's quantity.
 */
export interface CounterDifference {
  readonly tenant_id: string;
  readonly quota: string;
  readonly route: string | null;
  readonly redis: number;
  readonly clickhouse: number;
}

export interface CounterSources {
  readonly clickhouse: ClickHouse;
  readonly limiter: Pick<Limiter, 'raiseQuota'>;
  readonly policy: Policy;
  readonly records: Iterable<TenantRecord>;
  readonly nowMs: number;
}

export interface CounterReading extends QuotaReading {
  readonly used: number;
}

const countersMax = 20_000;
const readsInFlight = 200;

/**
 * Reads from Redis the quota counters of every tenant that has a record or usage today. Compare them only when ClickHouse has all
 * events from before this call.
 */
export async function readCounters(sources: CounterSources): Promise<CounterReading[]> {
  const { clickhouse, limiter, policy, nowMs } = sources;
  const records = new Map([...sources.records].map((record) => [record.tenant_id, record]));
  const today = await readConsumed(clickhouse, {
    fromMs: periodAt('day', null, nowMs).startMs,
    tenantIds: null,
  });
  const plans = new Map(today.map(({ tenant_id, plan }) => [tenant_id, plan]));
  const tenantIds = new Set([...plans.keys(), ...records.keys()]);
  tenantIds.delete(anonymousTenant);
  const readings = [...tenantIds].flatMap((tenantId) => {
    const record = records.get(tenantId) ?? null;
    const plan = plans.get(tenantId) ?? null;
    return quotasFor(policy, { plan, record, nowMs }).map((quota) =>
      openReading(policy, tenantId, quota, { record, atMs: nowMs }),
    );
  });
  const counters: CounterReading[] = [];
  for (let from = 0; from < Math.min(readings.length, countersMax); from += readsInFlight) {
    const batch = readings.slice(from, from + readsInFlight);
    counters.push(...(await Promise.all(batch.map((reading) => withUsed(limiter, reading)))));
  }
  return counters.filter(({ used }) => used > 0);
}

/** Reads the counter by raising it to 0, which returns its value and does not change it. */
async function withUsed(
  limiter: Pick<Limiter, 'raiseQuota'>,
  reading: QuotaReading,
): Promise<CounterReading> {
  const { tenantId, quota, span, calendar } = reading;
  const { before } = await limiter.raiseQuota(tenantId, quota, span.startMs, 0, { calendar });
  return { ...reading, used: before };
}

/**
 * Returns the counters that are higher than ClickHouse's totals. Does not report lower counters: the reconciler raises them, and
 * `tollgate_drift_units` shows them. Excludes tenants with corrected usage or degraded decisions, because their counters may
 * correctly differ from the totals. A settlement that finds no record in Redis returns nothing, so a counter may be ahead by the
 * amounts that settlements should have returned.
 */
export async function compareCounters(
  clickhouse: ClickHouse,
  counters: readonly CounterReading[],
): Promise<CounterDifference[]> {
  const ahead: (CounterDifference & Pick<QuotaReading, 'quantity'>)[] = [];
  let fromMs = Infinity;
  for (const reading of await completeReadings(clickhouse, counters)) {
    const { used } = reading as typeof reading & CounterReading;
    if (reading.sinceReset === null || used <= reading.sinceReset) continue;
    fromMs = Math.min(fromMs, reading.span.startMs);
    const scale = 10 ** reading.quantity.decimals;
    ahead.push({
      tenant_id: reading.tenantId,
      quota: reading.quota.name,
      route: reading.quota.route,
      redis: used / scale,
      clickhouse: reading.sinceReset / scale,
      quantity: reading.quantity,
    });
  }
  if (ahead.length === 0) return [];
  const rows = await clickhouse.query<{ tenant_id: string }>(
    `SELECT DISTINCT toString(tenant_id) AS tenant_id FROM stored_events
    WHERE time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND (usage_revision > 0 OR degraded)`,
    { from: fromMs },
  );
  const excluded = new Set(rows.map(({ tenant_id }) => tenant_id));
  const differences = ahead.filter(({ tenant_id }) => !excluded.has(tenant_id));
  const unreturned = differences.every(({ quantity }) => quantity.name === requestsName)
    ? new Map<string, ExactAmounts>()
    : await readUnreturned(clickhouse, { fromMs, tenantIds: differences.map(({ tenant_id }) => tenant_id) });
  return differences.flatMap(({ quantity, ...difference }) => {
    const kept = approximateMoney(unreturned.get(difference.tenant_id)?.[quantity.name] ?? 0n);
    return difference.redis - difference.clickhouse > kept ? [difference] : [];
  });
}
