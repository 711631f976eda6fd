import { periodAt } from '../../../shared/domain/time/calendar.ts';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import { alertIdOf } from '../alert-id.ts';
import type { NotificationSettings } from '../../../shared/domain/tenant.ts';
import type { Growth } from './growth-rates.ts';
import type { RefusingLimit } from './refusing-limits.ts';

/**
 * Smallest number of refused requests in a minute for which an alert is sent. A few refused requests are normal for a
 * client close to its limit.
 */
export const refusedMin = 20;
/** Smallest share of refused requests among the requests of a minute for which an alert is sent. */
export const refusedShare = 0.2;
/**
 * Longest time between two readings that are compared. A longer time would include idle time, and the average would be
 * too low.
 */
export const comparedMsMax = 120_000;

export interface Rejections {
  readonly refused: number;
  readonly requests: number;
}

/**
 * Returns the counts of the last minute if enough of its requests were refused to notify the tenant; otherwise null.
 */
export function heavyRejections(refused: Growth | null, requests: Growth | null): Rejections | null {
  if (refused === null || requests === null || refused.overMs > comparedMsMax) return null;
  const heavy = refused.by >= refusedMin && refused.by >= requests.by * refusedShare;
  return heavy ? { refused: refused.by, requests: requests.by } : null;
}

/**
 * The limits of which the tenant is to be notified: limits with a number of refusals in the tenant's settings, once they
 * refused that many requests in the last minute; and if many requests were refused, the limit that refused most of them.
 */
export function dueRejections(
  refusing: readonly RefusingLimit[],
  wanted: ReadonlyMap<string, number>,
  heavy: Rejections | null,
  requests: number,
): { readonly name: string; readonly rejections: Rejections }[] {
  return refusing.flatMap(({ name, lastMinute }, index) => {
    const number = wanted.get(name);
    if (number === undefined) return heavy !== null && index === 0 ? [{ name, rejections: heavy }] : [];
    return lastMinute >= number
      ? [{ name, rejections: { refused: lastMinute, requests: Math.max(requests, lastMinute) } }]
      : [];
  });
}

/** Numbers of refusals in a minute from which the tenant wants an alert, by limit. */
export function wantedRefusals(settings: NotificationSettings | undefined): ReadonlyMap<string, number> {
  return new Map(
    Object.entries(settings?.limits ?? {}).flatMap(([name, { refusals }]) =>
      refusals === undefined ? [] : [[name, refusals] as const],
    ),
  );
}

/** Returns an alert whose period is the hour, so that each tenant and limit has at most one such alert an hour. */
export function rejectionsAlert(
  tenant: { readonly tenantId: string; readonly plan: string },
  limitName: string,
  { refused, requests }: Rejections,
  asOfMs: number,
  nowMs: number,
): AlertEvent {
  const { startMs, endMs } = periodAt('hour', null, asOfMs);
  const period = new Date(startMs).toISOString();
  return {
    id: alertIdOf(tenant.tenantId, limitName, period, 'rejections'),
    kind: 'rejections',
    tenant_id: tenant.tenantId,
    plan: tenant.plan,
    limit_name: limitName,
    threshold: requests === 0 ? refusedShare : Math.min(1, refused / requests),
    period,
    period_ends_at: new Date(endMs).toISOString(),
    limit: requests,
    used: refused,
    exhausted_at: null,
    as_of: new Date(asOfMs).toISOString(),
    at: new Date(nowMs).toISOString(),
  };
}
