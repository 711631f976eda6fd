import type { PeriodSpan } from '../../shared/domain/calendar.ts';
import type { AlertEvent, AlertKind } from '../../shared/domain/alert.ts';
import type { Limit } from '../../shared/domain/limit.ts';
import { alertIdOf } from './alert-id.ts';
import type { Told } from './history.ts';
import type { Growth } from './pace.ts';

/** One quota of a tenant and how much of it ClickHouse says is used. */
export interface QuotaUsage {
  readonly tenantId: string;
  readonly plan: string;
  readonly limit: Limit;
  readonly span: PeriodSpan;
  /** Units consumed in the period, a reset taken into account. */
  readonly used: number;
  /** Unix ms: when the totals that say so were announced. */
  readonly asOfMs: number;
  /** How `used` grew lately, or null when that is not known. */
  readonly growth: Growth | null;
}

/** Forecasts are given from this share of a quota on: below, a busy minute would foretell anything. */
export const forecastFromShare = 0.25;

/**
 * The alerts a reading of a quota calls for, given what was told before: none, one, or (a quota used up and then
 * raised) two. Pure, and the same for the same arguments, so that judging a reading again after a crash finds the
 * same ids. Of thresholds crossed in the same moment the highest is told and names the others.
 */
export function evaluateQuota(
  usage: QuotaUsage,
  thresholds: readonly number[],
  told: Told | null,
  nowMs: number,
): AlertEvent[] {
  const { limit, used, span, asOfMs } = usage;
  if (limit.limit <= 0) return [];
  const share = used / limit.limit;
  const crossed = thresholds.filter((threshold) => share >= threshold && threshold > (told?.highest ?? 0));
  const highest = Math.max(...crossed);
  if (crossed.length > 0) {
    const also = crossed.filter((threshold) => threshold !== highest).toSorted((a, b) => a - b);
    return [alert(usage, highest >= 1 ? 'exceeded' : 'threshold', highest, nowMs, also)];
  }
  if (told !== null && isRecovered(told, share, asOfMs))
    return [recovered(told, limit.limit, used, asOfMs, nowMs)];
  const exhaustedAtMs = exhaustionOf(usage, nowMs);
  const foretold = told?.forecast === true || (told?.highest ?? 0) >= 1;
  if (share < 1 && share >= forecastFromShare && !foretold && exhaustedAtMs !== null) {
    return nowMs < span.endMs ? [alert(usage, 'forecast', 1, nowMs, [])] : [];
  }
  return [];
}

/** For limits that were exceeded in a period that is over: it needs no reading to know that there is room again. */
export function recovered(
  told: Told,
  limit: number,
  used: number,
  asOfMs: number,
  nowMs: number,
): AlertEvent {
  return {
    id: alertIdOf(told.tenantId, told.limitName, told.period, 'recovered'),
    kind: 'recovered',
    tenant_id: told.tenantId,
    plan: told.plan,
    limit_name: told.limitName,
    threshold: 1,
    period: told.period,
    period_ends_at: new Date(told.periodEndsAtMs).toISOString(),
    limit,
    used,
    exhausted_at: null,
    as_of: new Date(asOfMs).toISOString(),
    at: new Date(nowMs).toISOString(),
  };
}

/**
 * Unix ms at which the quota is used up if usage goes on as it did lately; null when that is not within the period,
 * when nothing was used lately, or when it is used up already.
 */
export function exhaustionOf({ limit, used, span, growth }: QuotaUsage, nowMs: number): number | null {
  if (growth === null || growth.by <= 0 || used >= limit.limit) return null;
  const atMs = Math.ceil(nowMs + ((limit.limit - used) / growth.by) * growth.overMs);
  return atMs < span.endMs ? atMs : null;
}

/** An announcement older than the one that showed the limit exceeded says nothing about now. */
function isRecovered(told: Told, share: number, asOfMs: number): boolean {
  return told.exceededAsOfMs !== null && !told.recovered && share < 1 && asOfMs > told.exceededAsOfMs;
}

function alert(
  usage: QuotaUsage,
  kind: AlertKind,
  threshold: number,
  nowMs: number,
  also: readonly number[],
): AlertEvent {
  const { tenantId, plan, limit, span, used, asOfMs } = usage;
  const period = new Date(span.startMs).toISOString();
  const exhaustedAtMs = exhaustionOf(usage, nowMs);
  return {
    id: alertIdOf(tenantId, limit.name, period, kind === 'forecast' ? 'forecast' : threshold),
    kind,
    tenant_id: tenantId,
    plan,
    limit_name: limit.name,
    threshold,
    period,
    period_ends_at: new Date(span.endMs).toISOString(),
    limit: limit.limit,
    used,
    exhausted_at: exhaustedAtMs === null ? null : new Date(exhaustedAtMs).toISOString(),
    ...(also.length === 0 ? {} : { also_crossed: also }),
    as_of: new Date(asOfMs).toISOString(),
    at: new Date(nowMs).toISOString(),
  };
}
