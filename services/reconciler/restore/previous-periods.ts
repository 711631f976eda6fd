import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { readConsumed } from '../../../shared/clickhouse/queries/consumption/consumed.ts';
import { periodAt } from '../../../shared/domain/time/calendar.ts';
import { addCounted, countedAmount, nothingCounted } from '../../../shared/domain/usage/consumption.ts';
import type { QuotaReading } from '../../../shared/policy/quota-readings.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { raiseAll } from './raise-all.ts';

/**
 * Raises what quotas with carry-over used in the period before that of the reading, because their unused units depend on it.
 * Sends one query for each period; none if no quota of the readings has carry-over.
 */
export async function restorePreviousPeriods(
  { limiter, clickhouse }: { readonly limiter: Limiter; readonly clickhouse: ClickHouse },
  readings: readonly QuotaReading[],
  withOpenReservations: boolean,
): Promise<void> {
  const carrying = readings.filter(({ quota }) => quota.carryOver !== undefined);
  const groups = Map.groupBy(carrying, ({ quota, calendar }) => `${quota.period} ${calendar ?? ''}`);
  for (const group of groups.values()) {
    for (const [toMs, ofPeriod] of Map.groupBy(group, ({ span }) => span.startMs))
      await restoreBefore(toMs, ofPeriod);
  }

  async function restoreBefore(toMs: number, ofPeriod: readonly QuotaReading[]): Promise<void> {
    const [first] = ofPeriod;
    if (first === undefined) return;
    const { startMs: fromMs } = periodAt(first.quota.period, first.calendar, toMs - 1);
    const tenantIds = [...new Set(ofPeriod.map(({ tenantId }) => tenantId))];
    const rows = await readConsumed(clickhouse, { fromMs, toMs, tenantIds });
    const byTenant = Map.groupBy(rows, ({ tenant_id }) => tenant_id);
    await raiseAll(
      ofPeriod,
      async ({ tenantId, quota, quantity, calendar }) => {
        const { consumed, reserved } = (byTenant.get(tenantId) ?? [])
          .filter(({ route }) => quota.route === null || quota.route === route)
          .reduce((sum, row) => addCounted(sum, countedAmount(row, quantity)), nothingCounted);
        if (consumed === null || reserved === null) return;
        const used = withOpenReservations ? consumed : consumed - reserved;
        if (used > 0) await limiter.raisePrevious(tenantId, quota, toMs, used, { calendar });
      },
      // A total that is too large leaves the quota without carried units: too strict, never too generous.
      () => undefined,
    );
  }
}
