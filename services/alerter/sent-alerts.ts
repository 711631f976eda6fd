import type { AlertEvent } from '../../shared/domain/topics/alert.ts';

/** A threshold that the tenant was told of, by itself or by a higher one. */
export interface Telling {
  readonly threshold: number;
  readonly generation: number;
  /** The reset that counting began with, ISO 8601; null for none. */
  readonly resetAt: string | null;
  readonly limit: number;
  readonly used: number;
}

/** From this generation on, thresholds above a share may be told again. */
export interface Rearming {
  readonly generation: number;
  readonly above: number;
}

/**
 * What a tenant was told about one limit in one period. Generations order it without clocks: a period begins in
 * generation 0, and each rearming begins the next one.
 */
export interface Told {
  readonly tenantId: string;
  readonly plan: string;
  readonly limitName: string;
  readonly period: string;
  readonly periodEndsAtMs: number;
  /** Of each threshold the telling of the highest generation. */
  readonly tellings: readonly Telling[];
  readonly rearmings: readonly Rearming[];
  readonly generation: number;
  /** Unix ms of the newest totals that anything was told by. */
  readonly asOfMs: number;
  /** Unix ms of the newest totals by which the limit was seen exceeded; null when it was not. */
  readonly exceededAsOfMs: number | null;
  readonly limit: number;
  readonly used: number;
  /** Generations in which these were told. */
  readonly forecastIn: readonly number[];
  readonly recoveredIn: readonly number[];
  readonly rejections: boolean;
}

/** The threshold, or a higher one, was told and nothing has rearmed it since. */
export function isTold({ tellings, rearmings }: Told, threshold: number): boolean {
  const rearmedIn = Math.max(0, ...rearmings.filter(({ above }) => threshold > above).map(generationOf));
  return tellings.some((one) => one.threshold >= threshold && one.generation >= rearmedIn);
}

/** The tellings that still stand: nothing has rearmed their own threshold. */
export function standing(told: Told): readonly Telling[] {
  return told.tellings.filter(({ threshold, generation }) =>
    told.rearmings.every((one) => threshold <= one.above || generation >= one.generation),
  );
}

/** The limit was told to be used up, and not that there is room again. */
export function isExceeded(told: Told): boolean {
  return standing(told).some(
    ({ threshold, generation }) => threshold >= 1 && told.recoveredIn.every((one) => one < generation),
  );
}

export function rearmed(told: Told, above: number): Told {
  const generation = told.generation + 1;
  return { ...told, generation, rearmings: [...told.rearmings, { generation, above }] };
}

function generationOf({ generation }: Rearming): number {
  return generation;
}

/** Adding an event twice, or two events in either order, gives the same. */
export function withEvent(told: Told, event: AlertEvent): Told {
  const isQuota = event.kind === 'threshold' || event.kind === 'exceeded';
  const asOfMs = Date.parse(event.as_of ?? event.at);
  const generation = event.generation ?? 0;
  const above = event.rearmed_above;
  return {
    ...told,
    periodEndsAtMs: Math.max(told.periodEndsAtMs, endOf(event)),
    tellings: isQuota ? withTellings(told.tellings, event) : told.tellings,
    rearmings: above === undefined ? told.rearmings : withRearming(told.rearmings, { generation, above }),
    generation: Math.max(told.generation, generation),
    asOfMs: Math.max(told.asOfMs, asOfMs),
    exceededAsOfMs:
      event.kind === 'exceeded' ? Math.max(told.exceededAsOfMs ?? 0, asOfMs) : told.exceededAsOfMs,
    limit: Math.max(told.limit, event.limit),
    used: Math.max(told.used, event.used),
    // A threshold that named the time of exhaustion has told the forecast as well.
    forecastIn:
      event.kind === 'forecast' || (isQuota && event.exhausted_at !== null)
        ? withNumber(told.forecastIn, generation)
        : told.forecastIn,
    recoveredIn:
      event.kind === 'recovered' && above === undefined
        ? withNumber(told.recoveredIn, generation)
        : told.recoveredIn,
    rejections: told.rejections || event.kind === 'rejections',
  };
}

export function nothingToldOf(event: AlertEvent): Told {
  return {
    tenantId: event.tenant_id,
    plan: event.plan,
    limitName: event.limit_name,
    period: event.period,
    periodEndsAtMs: 0,
    tellings: [],
    rearmings: [],
    generation: 0,
    asOfMs: 0,
    exceededAsOfMs: null,
    limit: 0,
    used: 0,
    forecastIn: [],
    recoveredIn: [],
    rejections: false,
  };
}

function withTellings(tellings: readonly Telling[], event: AlertEvent): readonly Telling[] {
  const { limit, used, generation = 0, reset_at: resetAt = null } = event;
  const thresholds = [event.threshold, ...(event.also_crossed ?? [])];
  const told = thresholds.map((threshold) => ({ threshold, generation, resetAt, limit, used }));
  const newest = new Map<number, Telling>();
  for (const telling of [...tellings, ...told]) {
    const known = newest.get(telling.threshold);
    if (known === undefined || isNewer(telling, known)) newest.set(telling.threshold, telling);
  }
  return [...newest.values()].toSorted((a, b) => a.threshold - b.threshold);
}

function withNumber(numbers: readonly number[], added: number): readonly number[] {
  return [...new Set([...numbers, added])].toSorted((a, b) => a - b);
}

/** Of one generation the one with more used, so that the order in which they are read does not count. */
function isNewer(one: Telling, other: Telling): boolean {
  if (one.generation !== other.generation) return one.generation > other.generation;
  return one.used > other.used || (one.used === other.used && one.limit > other.limit);
}

/** Of one generation the one that rearms most. */
function withRearming(rearmings: readonly Rearming[], added: Rearming): readonly Rearming[] {
  const others = rearmings.filter(({ generation }) => generation !== added.generation);
  const same = rearmings.find(({ generation }) => generation === added.generation);
  const above = Math.min(added.above, same?.above ?? Infinity);
  return [...others, { generation: added.generation, above }].toSorted((a, b) => a.generation - b.generation);
}

/** Events of older writers may lack the end; a day is then a safe guess, since forgetting is generous. */
function endOf(event: AlertEvent): number {
  return event.period_ends_at === undefined
    ? Date.parse(event.period) + 86_400_000
    : Date.parse(event.period_ends_at);
}
