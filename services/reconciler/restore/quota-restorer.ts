import { Counter } from 'prom-client';
import { startAtZero } from '../../../shared/runtime/zero-counters.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { completeReadings } from '../../../shared/clickhouse/queries/complete-readings.ts';
import type { CompleteReading } from '../../../shared/clickhouse/queries/complete-readings.ts';
import type { QuotaReading } from '../../../shared/policy/quota-readings.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import type { Drift } from './drift.ts';
import { raiseAll } from './raise-all.ts';

export interface QuotaRestorer {
  /**
   * Sets `counter = max(counter, total)` for each reading and returns the readings whose total is too large for a counter.
   * Rejects when Redis or ClickHouse does not answer. Counters that were raised before the error stay raised, and the call may be
   * repeated.
   */
  restore(readings: readonly QuotaReading[]): Promise<readonly UnrestoredReading[]>;
}

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

  async function restore(readings: readonly QuotaReading[]): Promise<readonly UnrestoredReading[]> {
    const complete = await completeReadings(clickhouse, readings);
    const unrestored: UnrestoredReading[] = [];
    await raiseAll(complete, raise, (reading, error) => {
      compared.inc({ result: 'too_large' });
      unrestored.push({
        tenantId: reading.tenantId,
        reason: `quota ${reading.quota.name}: ${error.message}`,
      });
    });
    return unrestored;
  }

  async function raise({
    tenantId,
    quota,
    span,
    zone,
    consumed,
    sinceReset,
  }: CompleteReading): Promise<void> {
    if (consumed === null || sinceReset === null) {
      compared.inc({ result: 'unknown' });
      return;
    }
    const { before, after } = await limiter.raiseQuota(tenantId, quota, span.startMs, consumed, {
      // Units from before a reset do not count. Redis stores these units as the baseline; this value replaces a baseline that was
      // lost.
      leastBaseline: Math.max(0, consumed - sinceReset),
      ...(zone === null ? {} : { timeZone: zone }),
    });
    compared.inc({ result: after > before ? 'raised' : 'right' });
    raisedUnits.inc(after - before);
    drift.record(JSON.stringify([tenantId, quota.name, quota.route]), before - sinceReset);
  }
}
