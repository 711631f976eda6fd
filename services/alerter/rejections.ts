import { periodAt } from '../../shared/domain/time/calendar.ts';
import type { AlertEvent } from '../../shared/domain/topics/alert.ts';
import { alertIdOf } from './alert-id.ts';
import type { Growth } from './pace.ts';

/** Refusals in a minute below which nobody is told: a client that runs into its limit now and then is normal. */
export const refusedMin = 20;
/** Share of a minute's requests that must have been refused. */
export const refusedShare = 0.2;
/** Readings this far apart or less are a minute; one further back speaks of an average over idle time. */
const overMsMax = 120_000;

export interface Rejections {
  readonly refused: number;
  readonly requests: number;
}

/** Whether the last minute's requests were refused so often that the tenant should hear of it. */
export function heavyRejections(refused: Growth | null, requests: Growth | null): Rejections | null {
  if (refused === null || requests === null || refused.overMs > overMsMax) return null;
  const heavy = refused.by >= refusedMin && refused.by >= requests.by * refusedShare;
  return heavy ? { refused: refused.by, requests: requests.by } : null;
}

/** At most one an hour for each tenant and limit: the hour is its period. */
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
