import type { CounterContent, CounterQuery } from '../../clickhouse/queries/portal/refusals.ts';
import type { UsageEventRow } from '../../clickhouse/queries/usage.ts';
import { attributeNames } from '../../domain/limit.ts';
import type { Limit } from '../../domain/limit.ts';
import { calendarOfLimit } from '../../domain/quota.ts';
import type { TenantRecord } from '../../domain/tenant.ts';
import { periodAt } from '../../domain/time/calendar.ts';
import { requestsName } from '../../domain/usage/quantity.ts';

/** Whether the recorded requests contain all that the limit counts. They do not state which were in progress at a time. */
export function isRecorded(limit: Limit): boolean {
  return (
    limit.type !== 'concurrent' &&
    limit.of === requestsName &&
    attributeNames(limit).length === 0 &&
    !limit.per.includes('group')
  );
}

/** Query for what the counter of a limit held at the time of a request. */
export function counterQuery(limit: Limit, event: UsageEventRow, record: TenantRecord | null): CounterQuery {
  const endMs = Date.parse(event.time);
  const startMs =
    limit.period === null
      ? endMs - limit.windowMs
      : periodAt(limit.period, calendarOfLimit(limit, record), endMs).startMs - 1;
  const userId = limit.per.includes('user') && event.user_id !== '' ? event.user_id : null;
  const byAddress = limit.per.includes('ip') || (limit.per.includes('user') && userId === null);
  return {
    route: limit.route,
    userId,
    clientIp: byAddress ? event.client_ip : null,
    window: { startMs, endMs },
    needed: (used) => used + (event.units ?? 1) - limit.limit,
  };
}

/** Time at which enough units have left the sliding window; null: unknown, or the limit is a quota. */
export function passTimeMs(limit: Limit, { frees }: Pick<CounterContent, 'frees'>): number | null {
  return limit.period !== null || frees === null ? null : Date.parse(frees) + limit.windowMs;
}
