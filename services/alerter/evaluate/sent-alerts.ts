import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';

/** A threshold that was sent: the threshold of an alert, or one of its `also_crossed`. */
export interface SentThreshold {
  readonly threshold: number;
  readonly generation: number;
  /** Time of the last reset before the alert, ISO 8601; null if there was none. */
  readonly resetAt: string | null;
  readonly limit: number;
  readonly used: number;
}

/** Effect of a reset or a raised limit: from `generation` on, thresholds above the share `above` may be sent again. */
export interface Rearming {
  readonly generation: number;
  readonly above: number;
}

/**
 * The alerts sent about one limit of a tenant in one period. Generations order the alerts without clocks: a period
 * begins in generation 0, and each rearming begins the next generation.
 */
export interface SentAlerts {
  readonly tenantId: string;
  readonly plan: string;
  readonly limitName: string;
  readonly period: string;
  readonly periodEndsAtMs: number;
  /** One entry for each threshold: its newest alert, from the highest generation in which the threshold was sent. */
  readonly sentThresholds: readonly SentThreshold[];
  readonly rearmings: readonly Rearming[];
  readonly generation: number;
  /** Unix ms of the newest totals on which an alert was based. */
  readonly asOfMs: number;
  /** Unix ms of the newest totals on which an `exceeded` alert was based; null for none. */
  readonly exceededAsOfMs: number | null;
  readonly limit: number;
  readonly used: number;
  /** Null for a quota of requests. */
  readonly quantity: {
    readonly name: string;
    readonly decimals: number;
    readonly currency: string | null;
  } | null;
  /** Generations in which a forecast was sent. `recoveredIn` has the generations in which a recovery was sent. */
  readonly forecastIn: readonly number[];
  readonly recoveredIn: readonly number[];
  readonly rejections: boolean;
}

/** True if the threshold or a higher threshold was sent, and the threshold was not rearmed after that. */
export function isThresholdSent({ sentThresholds, rearmings }: SentAlerts, threshold: number): boolean {
  const rearmedIn = Math.max(0, ...rearmings.filter(({ above }) => threshold > above).map(generationOf));
  return sentThresholds.some((one) => one.threshold >= threshold && one.generation >= rearmedIn);
}

/** Returns the sent thresholds that were not rearmed after they were sent. */
export function activeThresholds(sent: SentAlerts): readonly SentThreshold[] {
  return sent.sentThresholds.filter(({ threshold, generation }) =>
    sent.rearmings.every((one) => threshold <= one.above || generation >= one.generation),
  );
}

/** True if `one` was sent before `other`. Within a generation usage only grows, so the later alert has more units used. */
export function isSentBefore(one: SentThreshold, other: SentThreshold): boolean {
  return one.generation === other.generation ? one.used < other.used : one.generation < other.generation;
}

/** True if an `exceeded` alert was sent and no `recovered` alert after it. */
export function isExceeded(sent: SentAlerts): boolean {
  return activeThresholds(sent).some(
    ({ threshold, generation }) => threshold >= 1 && sent.recoveredIn.every((one) => one < generation),
  );
}

export function rearmed(sent: SentAlerts, above: number): SentAlerts {
  const generation = sent.generation + 1;
  return { ...sent, generation, rearmings: [...sent.rearmings, { generation, above }] };
}

function generationOf({ generation }: Rearming): number {
  return generation;
}

/**
 * Returns the history with an alert added. Idempotent and commutative: neither repetitions nor the order of alerts
 * change the result.
 */
export function withAlert(sent: SentAlerts, event: AlertEvent): SentAlerts {
  const isQuota = event.kind === 'threshold' || event.kind === 'exceeded';
  const asOfMs = Date.parse(event.as_of ?? event.at);
  const generation = event.generation ?? 0;
  const above = event.rearmed_above;
  return {
    ...sent,
    periodEndsAtMs: Math.max(sent.periodEndsAtMs, endOf(event)),
    sentThresholds: isQuota ? withThresholds(sent.sentThresholds, event) : sent.sentThresholds,
    rearmings: above === undefined ? sent.rearmings : withRearming(sent.rearmings, { generation, above }),
    generation: Math.max(sent.generation, generation),
    asOfMs: Math.max(sent.asOfMs, asOfMs),
    exceededAsOfMs:
      event.kind === 'exceeded' ? Math.max(sent.exceededAsOfMs ?? 0, asOfMs) : sent.exceededAsOfMs,
    limit: Math.max(sent.limit, event.limit),
    used: Math.max(sent.used, event.used),
    quantity: sent.quantity ?? quantityOf(event),
    // A threshold alert that names a time of exhaustion counts as a forecast too.
    forecastIn:
      event.kind === 'forecast' || (isQuota && event.exhausted_at !== null)
        ? withNumber(sent.forecastIn, generation)
        : sent.forecastIn,
    recoveredIn:
      event.kind === 'recovered' && above === undefined
        ? withNumber(sent.recoveredIn, generation)
        : sent.recoveredIn,
    rejections: sent.rejections || event.kind === 'rejections',
  };
}

function quantityOf({ quantity, decimals = 0, currency }: AlertEvent): SentAlerts['quantity'] {
  return quantity === undefined ? null : { name: quantity, decimals, currency: currency ?? null };
}

export function noAlertsSent(event: AlertEvent): SentAlerts {
  return {
    tenantId: event.tenant_id,
    plan: event.plan,
    limitName: event.limit_name,
    period: event.period,
    periodEndsAtMs: 0,
    sentThresholds: [],
    rearmings: [],
    generation: 0,
    asOfMs: 0,
    exceededAsOfMs: null,
    limit: 0,
    used: 0,
    quantity: quantityOf(event),
    forecastIn: [],
    recoveredIn: [],
    rejections: false,
  };
}

function withThresholds(
  sentThresholds: readonly SentThreshold[],
  event: AlertEvent,
): readonly SentThreshold[] {
  const { limit, used, generation = 0, reset_at: resetAt = null } = event;
  const thresholds = [event.threshold, ...(event.also_crossed ?? [])];
  const added = thresholds.map((threshold) => ({ threshold, generation, resetAt, limit, used }));
  const newest = new Map<number, SentThreshold>();
  for (const sentThreshold of [...sentThresholds, ...added]) {
    const previous = newest.get(sentThreshold.threshold);
    if (previous === undefined || isNewer(sentThreshold, previous))
      newest.set(sentThreshold.threshold, sentThreshold);
  }
  return [...newest.values()].toSorted((a, b) => a.threshold - b.threshold);
}

function withNumber(numbers: readonly number[], added: number): readonly number[] {
  return [...new Set([...numbers, added])].toSorted((a, b) => a - b);
}

/**
 * True if `one` replaces `other`. Within one generation the entry with more units used wins, so that the order of
 * reading does not change the result.
 */
function isNewer(one: SentThreshold, other: SentThreshold): boolean {
  if (one.generation !== other.generation) return one.generation > other.generation;
  return one.used > other.used || (one.used === other.used && one.limit > other.limit);
}

/** Keeps one rearming for each generation: the one with the lowest `above`. */
function withRearming(rearmings: readonly Rearming[], added: Rearming): readonly Rearming[] {
  const others = rearmings.filter(({ generation }) => generation !== added.generation);
  const same = rearmings.find(({ generation }) => generation === added.generation);
  const above = Math.min(added.above, same?.above ?? Infinity);
  return [...others, { generation: added.generation, above }].toSorted((a, b) => a.generation - b.generation);
}

/**
 * Returns the end of the alert's period. Alerts of older releases may have no `period_ends_at`: their period is assumed
 * to last one day. This is long enough, because entries are kept for two days after the end.
 */
function endOf(event: AlertEvent): number {
  return event.period_ends_at === undefined
    ? Date.parse(event.period) + 86_400_000
    : Date.parse(event.period_ends_at);
}
