import { Counter } from 'prom-client';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { settleReadings } from '../../shared/clickhouse/queries/settle-readings.ts';
import type { SettledReading } from '../../shared/clickhouse/queries/settle-readings.ts';
import type { QuotaReading } from '../../shared/policy/quota-readings.ts';
import type { Limiter } from '../../shared/redis/decision/limiter.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import type { Drift } from './drift.ts';
import { raiseAll } from './raise-all.ts';

export interface Healer {
  /**
   * `counter = max(counter, total)` for each reading; answers those whose total no counter holds, which stop no other.
   * Rejects when Redis or ClickHouse does not answer; what was raised by then stays raised, and the whole may be repeated.
   */
  heal(readings: readonly QuotaReading[]): Promise<readonly UnhealedReading[]>;
}

/** A counter that is left as it is, because the total cannot be put into it. */
export interface UnhealedReading {
  readonly tenantId: string;
  readonly reason: string;
}

export interface HealerOptions {
  readonly limiter: Limiter;
  readonly clickhouse: ClickHouse;
  readonly drift: Drift;
  readonly registry: Registry;
}

export function createHealer({ limiter, clickhouse, drift, registry }: HealerOptions): Healer {
  const compared = new Counter({
    name: 'tollgate_quota_comparisons_total',
    help: 'Quota counters compared with ClickHouse, by whether they were raised, right already, refused because no counter holds so much, or unknown because stored values add up to no number.',
    labelNames: ['outcome'],
    registers: [registry],
  });
  const raisedUnits = new Counter({
    name: 'tollgate_quota_raised_units_total',
    help: 'Units by which quota counters in Redis were raised because ClickHouse knew of more.',
    registers: [registry],
  });
  return { heal };

  async function heal(readings: readonly QuotaReading[]): Promise<readonly UnhealedReading[]> {
    const settled = await settleReadings(clickhouse, readings);
    const unhealed: UnhealedReading[] = [];
    await raiseAll(settled, raise, (reading, error) => {
      compared.inc({ outcome: 'refused' });
      unhealed.push({
        tenantId: reading.tenantId,
        reason: `quota ${reading.quota.name}: ${error.message}`,
      });
    });
    return unhealed;
  }

  async function raise({ tenantId, quota, span, zone, consumed, sinceReset }: SettledReading): Promise<void> {
    if (consumed === null || sinceReset === null) {
      compared.inc({ outcome: 'unknown' });
      return;
    }
    const { before, after } = await limiter.raiseQuota(tenantId, quota, span.startMs, consumed, {
      // What was counted before a reset no longer counts. Redis remembers that too, unless it lost it.
      leastBaseline: Math.max(0, consumed - sinceReset),
      ...(zone === null ? {} : { timeZone: zone }),
    });
    compared.inc({ outcome: after > before ? 'raised' : 'right' });
    raisedUnits.inc(after - before);
    drift.record(JSON.stringify([tenantId, quota.name, quota.route]), before - sinceReset);
  }
}
