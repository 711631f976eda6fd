import { Counter } from 'prom-client';
import { startAtZero } from '../../../shared/runtime/zero-counters.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { completeReadings } from '../../../shared/clickhouse/queries/consumption/complete-readings.ts';
import type { CompleteReading } from '../../../shared/clickhouse/queries/consumption/complete-readings.ts';
import type { QuotaReading } from '../../../shared/policy/quota-readings.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import type { Drift } from './drift.ts';
import { requestsName } from '../../../shared/domain/usage/quantity.ts';
import { restorePreviousPeriods } from './previous-periods.ts';
import { raiseAll } from './raise-all.ts';

export interface QuotaRestorer {
  /**
   * Sets `counter = max(counter, total)` for each reading and returns the readings whose total is too large for a counter.
   * Rejects when Redis or ClickHouse does not answer. Counters that were raised before the error stay raised, and the call may be
   * repeated.
   */
  restore(readings: readonly QuotaReading[], open: OpenReservations): Promise<readonly UnrestoredReading[]>;
}

/**
 * `counted`: the total includes the amounts of open reservations; right when Redis has lost them. `excluded`: it does not. Redis
 * has charged these amounts, and may have lowered them since by a settlement that ClickHouse does not have yet: the older total
 * would raise the counter again.
 */
export type OpenReservations = 'counted' | 'excluded';

/** A quota whose counter was not raised, because its total is too large for a counter. */
export interface UnrestoredReading {
  readonly tenantId: string;
  readonly reason: string;
}

export interface QuotaRestorerOptions {
  readonly limiter: Limiter;
  readonly clickhouse: ClickHouse;
  readonly drift: Drift;
  readonly registry: Registry;
}

export function createQuotaRestorer({
  limiter,
  clickhouse,
  drift,
  registry,
}: QuotaRestorerOptions): QuotaRestorer {
  const compared = startAtZero(
    new Counter({
      name: 'tollgate_quota_comparisons_total',
      help: 'Quota counters compared with ClickHouse, by result: raised, right (nothing to raise), too_large (the total does not fit into a counter), unknown (the stored units have no finite sum).',
      labelNames: ['result'],
      registers: [registry],
    }),
    { result: ['raised', 'right', 'too_large', 'unknown'] },
  );
  const raisedUnits = new Counter({
    name: 'tollgate_quota_raised_units_total',
    help: 'Units by which quota counters in Redis were raised because ClickHouse counted more.',
    registers: [registry],
  });
  return { restore };

  async function restore(
    readings: readonly QuotaReading[],
    open: OpenReservations,
  ): Promise<readonly UnrestoredReading[]> {
    const complete = await completeReadings(clickhouse, readings);
    const unrestored: UnrestoredReading[] = [];
    await raiseAll(
      complete,
      (reading) => raise(reading, open),
      (reading, error) => {
        compared.inc({ result: 'too_large' });
        unrestored.push({
          tenantId: reading.tenantId,
          reason: `quota ${reading.quota.name}: ${error.message}`,
        });
      },
    );
    await restorePreviousPeriods({ limiter, clickhouse }, readings, open === 'counted');
    return unrestored;
  }

  async function raise(reading: CompleteReading, open: OpenReservations): Promise<void> {
    const { tenantId, quota, span, calendar, consumed, sinceReset, reserved } = reading;
    if (consumed === null || sinceReset === null || reserved === null) {
      compared.inc({ result: 'unknown' });
      return;
    }
    const target = open === 'counted' ? consumed : consumed - reserved;
    const { before, after } = await limiter.raiseQuota(tenantId, quota, span.startMs, target, {
      // Units from before a reset do not count. Redis stores these units as the baseline; this value replaces a baseline that was
      // lost.
      leastBaseline: Math.max(0, consumed - sinceReset),
      calendar,
    });
    compared.inc({ result: after > before ? 'raised' : 'right' });
    // Units and smallest units of other quantities cannot be added.
    if (quota.of !== requestsName) return;
    raisedUnits.inc(after - before);
    drift.record(JSON.stringify([tenantId, quota.name, quota.route]), before - sinceReset);
  }
}
