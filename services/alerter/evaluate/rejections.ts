import { periodAt } from '../../../shared/domain/time/calendar.ts';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import { alertIdOf } from '../alert-id.ts';
import type { Growth } from './growth-rates.ts';

/** Fewer refused requests in a minute send no alert: a client that reaches its limit now and then is normal. */
export const refusedMin = 20;
/** Share of a minute's requests that must be refused before an alert is sent. */
export const refusedShare = 0.2;
/** Readings further apart are ignored: their growth would be an average over idle time. */
const overMsMax = 120_000;

export interface Rejections {
  readonly refused: number;
  readonly requests: number;
}

/** Returns the counts of the last minute when enough of its requests were refused to notify the tenant, else null. */
export function heavyRejections(refused: Growth | null, requests: Growth | null): Rejections | null {
  if (refused === null || requests === null || refused.overMs > overMsMax) return null;
  const heavy = refused.by >= refusedMin && refused.by >= requests.by * refusedShare;
  return heavy ? { refused: refused.by, requests: requests.by } : null;
}

/** At most one alert an hour for each tenant and limit: the hour is its period. */
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
