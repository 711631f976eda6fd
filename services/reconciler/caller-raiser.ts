import { Counter } from 'prom-client';
import { addressPart } from '../../shared/redis/keys.ts';
import type { Limiter } from '../../shared/redis/decision/limiter.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import { callerReadingsOfAll } from './caller-readings.ts';
import type { CallerQuestion, CallerReading } from './caller-readings.ts';
import type { Drift } from './drift.ts';
import { raiseAll } from './raise-all.ts';

/** Raises quota counters of users and addresses to what ClickHouse counts. Answers the counters that were looked at. */
export type CallerRaiser = (question: CallerQuestion) => Promise<number>;

export interface CallerRaiserOptions {
  readonly limiter: Limiter;
  readonly drift: Drift;
  readonly registry: Registry;
  readonly logger: Logger;
}

export function createCallerRaiser({ limiter, drift, registry, logger }: CallerRaiserOptions): CallerRaiser {
  const raised = new Counter({
    name: 'tollgate_caller_quotas_raised_total',
    help: 'Quota counters of users and addresses that were raised, after a loss or decisions without Redis, because ClickHouse knew of more.',
    registers: [registry],
  });
  const truncated = new Counter({
    name: 'tollgate_caller_rebuilds_truncated_total',
    help: 'Comparisons that left out the users and addresses that used least, because there were too many to read at once.',
    registers: [registry],
  });
  return async (question) => {
    const { readings, cut } = await callerReadingsOfAll(question);
    if (cut) truncated.inc();
    await raiseAll(readings, raise, ({ caller, quota }, err) =>
      logger.error({ tenant_id: caller.tenantId, quota: quota.name, err }, 'a quota could not be restored'),
    );
    return readings.length;
  };

  async function raise(reading: CallerReading): Promise<void> {
    const { caller, quota, span, zone, consumed, sinceReset } = reading;
    if (consumed === null || sinceReset === null) {
      logger.error(
        { tenant_id: caller.tenantId, quota: quota.name },
        'a quota could not be restored: the stored units add up to no number',
      );
      return;
    }
    const { before, after } = await limiter.raiseQuota(caller.tenantId ?? '', quota, span.startMs, consumed, {
      caller,
      leastBaseline: Math.max(0, consumed - sinceReset),
      ...(zone === null ? {} : { timeZone: zone }),
    });
    if (after === before) return;
    raised.inc();
    // Only what was behind: not every reading holds all that its counter counts.
    const { userId, ip } = caller;
    drift.record(
      JSON.stringify([caller.tenantId, quota.name, quota.route, userId, addressPart(ip)]),
      before - sinceReset,
    );
  }
}
