import type { PeriodSpan } from '../../../shared/domain/time/calendar.ts';
import type { AlertEvent, AlertKind } from '../../../shared/domain/topics/alert.ts';
import type { Limit } from '../../../shared/domain/limit.ts';
import { requestsName } from '../../../shared/domain/usage/quantity.ts';
import type { Quantity } from '../../../shared/domain/usage/quantity.ts';
import { alertIdOf } from '../alert-id.ts';
import type { Growth } from './growth-rates.ts';
import { isExceeded, isSentBefore, isThresholdSent, rearmed, activeThresholds } from './sent-alerts.ts';
import type { SentAlerts } from './sent-alerts.ts';

/**
 * One quota of a tenant, with the usage that ClickHouse counts. The limit and all amounts are in the unit of the quantity, not
 * in its smallest units.
 */
export interface QuotaUsage {
  readonly tenantId: string;
  readonly plan: string;
  readonly limit: Limit;
  readonly span: PeriodSpan;
  readonly quantity: Pick<Quantity, 'name' | 'decimals'>;
  /** Currency of a quota of money; null: another quota, or the policy names no currency. */
  readonly currency: string | null;
  /** Consumed in the period, or since the last reset within it. Amounts of open reservations are included. */
  readonly used: number;
  /** Unix ms of the last reset within the period; null if there was none. */
  readonly resetAtMs: number | null;
  /** Unix ms at which these totals were announced. */
  readonly asOfMs: number;
  /** Recent growth of `used`; null until enough readings exist. */
  readonly growth: Growth | null;
}

/** Smallest used share of a quota for a forecast. Below it, one busy minute would cause a false forecast. */
export const forecastFromShare = 0.25;

/**
 * Returns the alerts that are due for a reading of a quota, considering the alerts sent before. Pure: the same
 * arguments return the same ids, so an evaluation that is repeated after a crash writes no second alert.
 *
 * If several thresholds were crossed at once, one alert names the highest and lists the others. A reset or a raised
 * limit rearms the thresholds above the share that is used at that moment: they may be sent again. Then the first alert
 * states the reset or raise (its kind is `recovered` if the quota was used up), and a second alert names the thresholds
 * that are still crossed.
 */
export function evaluateQuota(
  usage: QuotaUsage,
  thresholds: readonly number[],
  sent: SentAlerts | null,
  nowMs: number,
): AlertEvent[] {
  const { limit, used, asOfMs } = usage;
  if (limit.limit <= 0) return [];
  const share = used / limit.limit;
  const above = sent === null || asOfMs < sent.asOfMs ? null : rearmedAbove(usage, sent, share);
  if (sent !== null && above !== null) {
    const now = rearmed(sent, above);
    return [rearming(usage, sent, above, nowMs), ...crossings(usage, thresholds, now, nowMs)];
  }
  const crossed = crossings(usage, thresholds, sent, nowMs);
  if (crossed.length > 0) return crossed;
  if (sent !== null && isExceeded(sent) && share < 1 && asOfMs > (sent.exceededAsOfMs ?? 0))
    return [recovered(sent, limit.limit, used, asOfMs, nowMs)];
  return forecasts(usage, sent, nowMs);
}

/**
 * Returns the `recovered` alert of a limit: `used` is below `limit` again, or the period in which it was exceeded is
 * over.
 */
export function recovered(
  sent: SentAlerts,
  limit: number,
  used: number,
  asOfMs: number,
  nowMs: number,
): AlertEvent {
  return {
    ...commonFields(sent, { limit, used, asOfMs, nowMs }),
    id: alertIdOf(sent.tenantId, sent.limitName, sent.period, 'recovered', sent.generation),
    kind: 'recovered',
    ...generationField(sent.generation),
  };
}

/** Returns the `recovered` alert of an exceeded limit that the tenant's plan or the policy no longer has. */
export function lifted(sent: SentAlerts, asOfMs: number, nowMs: number): AlertEvent {
  return {
    ...commonFields(sent, { limit: sent.limit, used: sent.used, asOfMs, nowMs }),
    id: alertIdOf(sent.tenantId, sent.limitName, sent.period, 'recovered', sent.generation),
    kind: 'recovered',
    generation: sent.generation + 1,
    rearmed_above: 0,
  };
}

/**
 * Returns the Unix ms at which the quota will be used up at the recent rate of usage. Returns null if that is after the
 * end of the period, if nothing was used recently, or if the quota is used up already.
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
 * Returns the share above which thresholds may be sent again; null if there was no reset and no raise since the active
 * thresholds were sent. Just after a raise the share in use was at most old limit ÷ new limit, even if no reading was
 * made at that moment, because an enforced quota never exceeds its limit.
 *
 * The old limit is the limit of the last alert about the quota, which may be newer than the alert of the threshold. Two
 * raises without an alert between them look like one raise: the alert of a threshold that stayed crossed may then be
 * sent twice.
 */
function rearmedAbove({ limit, resetAtMs }: QuotaUsage, sent: SentAlerts, share: number): number | null {
  const resetAt = resetAtMs === null ? null : new Date(resetAtMs).toISOString();
  let above: number | null = null;
  for (const sentThreshold of activeThresholds(sent)) {
    const later = sent.sentThresholds.filter(
      (one) => one.resetAt === resetAt && !isSentBefore(one, sentThreshold),
    );
    const unitsAtMost = Math.max(...later.map((one) => Math.max(one.limit, one.used)));
    const isReset = sentThreshold.resetAt !== resetAt;
    const lowestShare = Math.min(share, unitsAtMost / limit.limit);
    const isRaised = limit.limit > sentThreshold.limit && sentThreshold.threshold > lowestShare;
    if (isReset || isRaised) above = Math.min(above ?? Infinity, isReset ? 0 : lowestShare);
  }
  return above;
}

function rearming(usage: QuotaUsage, sent: SentAlerts, above: number, nowMs: number): AlertEvent {
  const { limit, used, asOfMs } = usage;
  const kind = isExceeded(sent) && used < limit.limit ? 'recovered' : 'rearmed';
  return {
    ...commonFields(sent, { limit: limit.limit, used, asOfMs, nowMs }),
    id: alertIdOf(sent.tenantId, sent.limitName, sent.period, kind, sent.generation),
    kind,
    generation: sent.generation + 1,
    rearmed_above: above,
  };
}

function crossings(
  usage: QuotaUsage,
  thresholds: readonly number[],
  sent: SentAlerts | null,
  nowMs: number,
): AlertEvent[] {
  const share = usage.used / usage.limit.limit;
  const crossed = thresholds.filter(
    (threshold) => share >= threshold && (sent === null || !isThresholdSent(sent, threshold)),
  );
  if (crossed.length === 0) return [];
  const highest = Math.max(...crossed);
  const also = crossed.filter((threshold) => threshold !== highest).toSorted((a, b) => a - b);
  const kind = highest >= 1 ? 'exceeded' : 'threshold';
  return [alert(usage, kind, highest, nowMs, sent?.generation ?? 0, also)];
}

function forecasts(usage: QuotaUsage, sent: SentAlerts | null, nowMs: number): AlertEvent[] {
  const { limit, used, span } = usage;
  const generation = sent?.generation ?? 0;
  const share = used / limit.limit;
  const isForecastSent = sent !== null && (sent.forecastIn.includes(generation) || isThresholdSent(sent, 1));
  if (share >= 1 || share < forecastFromShare || isForecastSent || exhaustionOf(usage, nowMs) === null)
    return [];
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
    ...quantityFields(usage.quantity, usage.currency),
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

function commonFields(
  sent: SentAlerts,
  { limit, used, asOfMs, nowMs }: Reading,
): Omit<AlertEvent, 'id' | 'kind' | 'generation' | 'rearmed_above'> {
  return {
    tenant_id: sent.tenantId,
    plan: sent.plan,
    limit_name: sent.limitName,
    threshold: 1,
    period: sent.period,
    period_ends_at: new Date(sent.periodEndsAtMs).toISOString(),
    limit,
    used,
    ...(sent.quantity === null ? {} : quantityFields(sent.quantity, sent.quantity.currency)),
    exhausted_at: null,
    as_of: new Date(asOfMs).toISOString(),
    at: new Date(nowMs).toISOString(),
  };
}

/** An alert about units of requests has no fields for its quantity. */
function quantityFields(
  { name, decimals }: QuotaUsage['quantity'],
  currency: string | null,
): Pick<AlertEvent, 'quantity' | 'decimals' | 'currency'> {
  if (name === requestsName) return {};
  return {
    ...{ quantity: name, ...(decimals === 0 ? {} : { decimals }) },
    ...(currency === null ? {} : { currency }),
  };
}

function generationField(generation: number): { generation?: number } {
  return generation === 0 ? {} : { generation };
}
