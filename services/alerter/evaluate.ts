import type { PeriodSpan } from '../../shared/domain/time/calendar.ts';
import type { AlertEvent, AlertKind } from '../../shared/domain/topics/alert.ts';
import type { Limit } from '../../shared/domain/limit.ts';
import { alertIdOf } from './alert-id.ts';
import type { Growth } from './pace.ts';
import { isExceeded, isTold, rearmed, standing } from './sent-alerts.ts';
import type { Told } from './sent-alerts.ts';

/** One quota of a tenant and how much of it ClickHouse says is used. */
export interface QuotaUsage {
  readonly tenantId: string;
  readonly plan: string;
  readonly limit: Limit;
  readonly span: PeriodSpan;
  /** Units consumed in the period, a reset taken into account. */
  readonly used: number;
  /** Unix ms of the reset that counting began with; null for none. */
  readonly resetAtMs: number | null;
  /** Unix ms: when the totals that say so were announced. */
  readonly asOfMs: number;
  /** How `used` grew lately, or null when that is not known. */
  readonly growth: Growth | null;
}

/** Forecasts are given from this share of a quota on: below, a busy minute would foretell anything. */
export const forecastFromShare = 0.25;

/**
 * The alerts a reading of a quota calls for, given what was told before. Pure, and the same for the same arguments, so
 * that judging a reading again after a crash finds the same ids. Of thresholds crossed in the same moment the highest
 * is told and names the others. A reset or a raised limit rearms the thresholds above the share that is left: the first
 * event says so (`recovered` where the quota was used up), and a second one what is crossed all the same.
 */
export function evaluateQuota(
  usage: QuotaUsage,
  thresholds: readonly number[],
  told: Told | null,
  nowMs: number,
): AlertEvent[] {
  const { limit, used, asOfMs } = usage;
  if (limit.limit <= 0) return [];
  const share = used / limit.limit;
  const above = told === null || asOfMs < told.asOfMs ? null : rearmedAbove(usage, told, share);
  if (told !== null && above !== null) {
    const now = rearmed(told, above);
    return [rearming(usage, told, above, nowMs), ...crossings(usage, thresholds, now, nowMs)];
  }
  const crossed = crossings(usage, thresholds, told, nowMs);
  if (crossed.length > 0) return crossed;
  if (told !== null && isExceeded(told) && share < 1 && asOfMs > (told.exceededAsOfMs ?? 0))
    return [recovered(told, limit.limit, used, asOfMs, nowMs)];
  return forecasts(usage, told, nowMs);
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
    ...ofTold(told, { limit, used, asOfMs, nowMs }),
    id: alertIdOf(told.tenantId, told.limitName, told.period, 'recovered', told.generation),
    kind: 'recovered',
    ...generationField(told.generation),
  };
}

/** For limits that were exceeded and that the tenant has no more: another plan or policy does not have them. */
export function lifted(told: Told, asOfMs: number, nowMs: number): AlertEvent {
  return {
    ...ofTold(told, { limit: told.limit, used: told.used, asOfMs, nowMs }),
    id: alertIdOf(told.tenantId, told.limitName, told.period, 'recovered', told.generation),
    kind: 'recovered',
    generation: told.generation + 1,
    rearmed_above: 0,
  };
}

/**
 * Unix ms at which the quota is used up if usage goes on as it did lately; null when that is not within the period,
 * when nothing was used lately, or when it is used up already.
 */
export function exhaustionOf(
  { limit, used, span, growth }: Pick<QuotaUsage, 'limit' | 'used' | 'span' | 'growth'>,
  nowMs: number,
): number | null {
  if (growth === null || growth.by <= 0 || used >= limit.limit) return null;
  const atMs = Math.ceil(nowMs + ((limit.limit - used) / growth.by) * growth.overMs);
  return atMs < span.endMs ? atMs : null;
}

/**
 * The share above which thresholds may be told again; null where nothing of what stands was reset or raised. A quota
 * that is enforced never holds more than its limit, so the share just after a raise was at most the old limit of the
 * new one, also where nobody looked at that moment.
 */
function rearmedAbove({ limit, resetAtMs }: QuotaUsage, told: Told, share: number): number | null {
  const resetAt = resetAtMs === null ? null : new Date(resetAtMs).toISOString();
  let above: number | null = null;
  for (const telling of standing(told)) {
    const then = telling.resetAt === resetAt ? Math.max(telling.limit, telling.used) / limit.limit : 0;
    const least = Math.min(share, then);
    const isReset = telling.resetAt !== resetAt;
    const isRaised = limit.limit > telling.limit && telling.threshold > least;
    if (isReset || isRaised) above = Math.min(above ?? Infinity, isReset ? 0 : least);
  }
  return above;
}

function rearming(usage: QuotaUsage, told: Told, above: number, nowMs: number): AlertEvent {
  const { limit, used, asOfMs } = usage;
  const kind = isExceeded(told) && used < limit.limit ? 'recovered' : 'rearmed';
  return {
    ...ofTold(told, { limit: limit.limit, used, asOfMs, nowMs }),
    id: alertIdOf(told.tenantId, told.limitName, told.period, kind, told.generation),
    kind,
    generation: told.generation + 1,
    rearmed_above: above,
  };
}

function crossings(
  usage: QuotaUsage,
  thresholds: readonly number[],
  told: Told | null,
  nowMs: number,
): AlertEvent[] {
  const share = usage.used / usage.limit.limit;
  const crossed = thresholds.filter(
    (threshold) => share >= threshold && (told === null || !isTold(told, threshold)),
  );
  if (crossed.length === 0) return [];
  const highest = Math.max(...crossed);
  const also = crossed.filter((threshold) => threshold !== highest).toSorted((a, b) => a - b);
  const kind = highest >= 1 ? 'exceeded' : 'threshold';
  return [alert(usage, kind, highest, nowMs, told?.generation ?? 0, also)];
}

function forecasts(usage: QuotaUsage, told: Told | null, nowMs: number): AlertEvent[] {
  const { limit, used, span } = usage;
  const generation = told?.generation ?? 0;
  const share = used / limit.limit;
  const foretold = told !== null && (told.forecastIn.includes(generation) || isTold(told, 1));
  if (share >= 1 || share < forecastFromShare || foretold || exhaustionOf(usage, nowMs) === null) return [];
  return nowMs < span.endMs ? [alert(usage, 'forecast', 1, nowMs, generation, [])] : [];
}

function alert(
  usage: QuotaUsage,
  kind: AlertKind,
  threshold: number,
  nowMs: number,
  generation: number,
  also: readonly number[],
): AlertEvent {
  const { tenantId, plan, limit, span, used, asOfMs, resetAtMs } = usage;
  const period = new Date(span.startMs).toISOString();
  const exhaustedAtMs = exhaustionOf(usage, nowMs);
  return {
    id: alertIdOf(tenantId, limit.name, period, kind === 'forecast' ? 'forecast' : threshold, generation),
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
    ...(resetAtMs === null ? {} : { reset_at: new Date(resetAtMs).toISOString() }),
    ...generationField(generation),
    as_of: new Date(asOfMs).toISOString(),
    at: new Date(nowMs).toISOString(),
  };
}

interface Reading {
  readonly limit: number;
  readonly used: number;
  readonly asOfMs: number;
  readonly nowMs: number;
}

function ofTold(
  told: Told,
  { limit, used, asOfMs, nowMs }: Reading,
): Omit<AlertEvent, 'id' | 'kind' | 'generation' | 'rearmed_above'> {
  return {
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

function generationField(generation: number): { generation?: number } {
  return generation === 0 ? {} : { generation };
}
