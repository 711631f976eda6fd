import { periodAt } from '../../../shared/domain/time/calendar.ts';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import { alertIdOf } from '../alert-id.ts';
import type { Growth } from './growth-rates.ts';

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
const overMsMax = 120_000;

export interface Rejections {
  readonly refused: number;
  readonly requests: number;
}

/**
 * Returns the counts of the last minute if enough of its requests were refused to notify the tenant; otherwise null.
 */
export function heavyRejections(refused: Growth | null, requests: Growth | null): Rejections | null {
  if (refused === null || requests === null || refused.overMs > overMsMax) return null;
  const heavy = refused.by >= refusedMin && refused.by >= requests.by * refusedShare;
  return heavy ? { refused: refused.by, requests: requests.by } : null;
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
    threshold: refusedShare,
    period,
    period_ends_at: new Date(endMs).toISOString(),
    limit: requests,
    used: refused,
    exhausted_at: null,
    as_of: new Date(asOfMs).toISOString(),
    at: new Date(nowMs).toISOString(),
  };
}
