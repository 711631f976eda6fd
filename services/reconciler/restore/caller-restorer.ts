import { Counter } from 'prom-client';
import { addressPart } from '../../../shared/redis/keys.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import { readCallerQuotas } from './caller-readings.ts';
import type { CallerReadingsQuery, CallerReading } from './caller-readings.ts';
import type { Drift } from './drift.ts';
import { raiseAll } from './raise-all.ts';

/**
 * Raises quota counters of users and addresses to the units that ClickHouse counts. Resolves with the number of compared
 * counters.
 */
export type CallerRestorer = (query: CallerReadingsQuery) => Promise<number>;

export interface CallerRestorerOptions {
  readonly limiter: Limiter;
  readonly drift: Drift;
  readonly registry: Registry;
  readonly logger: Logger;
}

export function createCallerRestorer({
  limiter,
  drift,
  registry,
  logger,
}: CallerRestorerOptions): CallerRestorer {
  const raised = new Counter({
    name: 'tollgate_caller_quotas_raised_total',
    help: 'Quota counters of users and addresses that were raised after a loss or after decisions without Redis, because ClickHouse counted more.',
    registers: [registry],
  });
  const truncated = new Counter({
    name: 'tollgate_caller_rebuilds_truncated_total',
    help: 'Comparisons that left out the users and addresses with the least usage, because there were too many to read at once.',
    registers: [registry],
  });
  return async (query) => {
    const { readings, cut } = await readCallerQuotas(query);
    if (cut) truncated.inc();
    await raiseAll(readings, raise, ({ caller, quota }, err) =>
      logger.error({ tenant_id: caller.tenantId, quota: quota.name, err }, 'a quota could not be restored'),
    );
    return readings.length;
  };

  async function raise(reading: CallerReading): Promise<void> {
    const { caller, quota, span, calendar, consumed, sinceReset } = reading;
    if (consumed === null || sinceReset === null) {
      logger.error(
        { tenant_id: caller.tenantId, quota: quota.name },
        'a quota could not be restored: the stored units have no finite sum',
      );
      return;
    }
    const { before, after } = await limiter.raiseQuota(caller.tenantId ?? '', quota, span.startMs, consumed, {
      caller,
      leastBaseline: Math.max(0, consumed - sinceReset),
      calendar,
    });
    if (after === before) return;
    raised.inc();
    // Drift is recorded only for raised counters: a counter may correctly have units that its reading lacks.
    const { userId, ip } = caller;
    drift.record(
      JSON.stringify([caller.tenantId, quota.name, quota.route, userId, addressPart(ip)]),
      before - sinceReset,
    );
  }
}
