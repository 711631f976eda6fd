import type { AlertEvent } from '../../shared/domain/alert.ts';

/** What a tenant was told about one limit in one period. */
export interface Told {
  readonly tenantId: string;
  readonly plan: string;
  readonly limitName: string;
  readonly period: string;
  readonly periodEndsAtMs: number;
  /** Highest threshold told, 0 for none. */
  readonly highest: number;
  /** Unix ms of the newest totals by which the limit was seen exceeded; null when it was not. */
  readonly exceededAsOfMs: number | null;
  readonly limit: number;
  readonly used: number;
  readonly forecast: boolean;
  readonly recovered: boolean;
  readonly rejections: boolean;
}

/**
 * Everything told in the periods that are not long over, folded from the alerts topic. Adding an event twice, or two
 * events in either order, gives the same history, so it can be re-read from the topic at every start.
 */
export interface AlertHistory {
  add(event: AlertEvent): void;
  of(tenantId: string, limitName: string, period: string): Told | null;
  /** Limits exceeded in a period that is over by `nowMs`, whose tenants were not told that it is. */
  exceededAndOver(nowMs: number): Told[];
  /** Forgets periods that ended before the time given. */
  forgetBefore(timeMs: number): void;
  size(): number;
}

export function createAlertHistory(): AlertHistory {
  const entries = new Map<string, Told>();
  const open = new Set<string>();
  return { add, of, exceededAndOver, forgetBefore, size: () => entries.size };

  function add(event: AlertEvent): void {
    if (event.kind === 'test') return;
    const key = keyOf(event.tenant_id, event.limit_name, event.period);
    const told = fold(entries.get(key) ?? nothingToldOf(event), event);
    entries.set(key, told);
    if (told.exceededAsOfMs !== null && !told.recovered) open.add(key);
    else open.delete(key);
  }

  function of(tenantId: string, limitName: string, period: string): Told | null {
    return entries.get(keyOf(tenantId, limitName, period)) ?? null;
  }

  function exceededAndOver(nowMs: number): Told[] {
    const over: Told[] = [];
    for (const key of open) {
      const told = entries.get(key);
      if (told !== undefined && told.periodEndsAtMs <= nowMs) over.push(told);
    }
    return over;
  }

  function forgetBefore(timeMs: number): void {
    for (const [key, told] of entries) {
      if (told.periodEndsAtMs >= timeMs) continue;
      entries.delete(key);
      open.delete(key);
    }
  }
}

function fold(told: Told, event: AlertEvent): Told {
  const isQuota = event.kind === 'threshold' || event.kind === 'exceeded';
  const asOfMs = Date.parse(event.as_of ?? event.at);
  return {
    ...told,
    periodEndsAtMs: Math.max(told.periodEndsAtMs, endOf(event)),
    highest: isQuota ? Math.max(told.highest, event.threshold, ...(event.also_crossed ?? [])) : told.highest,
    exceededAsOfMs:
      event.kind === 'exceeded' ? Math.max(told.exceededAsOfMs ?? 0, asOfMs) : told.exceededAsOfMs,
    limit: Math.max(told.limit, event.limit),
    used: Math.max(told.used, event.used),
    // A threshold that named the time of exhaustion has told the forecast as well.
    forecast: told.forecast || event.kind === 'forecast' || (isQuota && event.exhausted_at !== null),
    recovered: told.recovered || event.kind === 'recovered',
    rejections: told.rejections || event.kind === 'rejections',
  };
}

function nothingToldOf(event: AlertEvent): Told {
  return {
    tenantId: event.tenant_id,
    plan: event.plan,
    limitName: event.limit_name,
    period: event.period,
    periodEndsAtMs: 0,
    highest: 0,
    exceededAsOfMs: null,
    limit: 0,
    used: 0,
    forecast: false,
    recovered: false,
    rejections: false,
  };
}

/** Events of older writers may lack the end; a day is then a safe guess, since forgetting is generous. */
function endOf(event: AlertEvent): number {
  return event.period_ends_at === undefined
    ? Date.parse(event.period) + 86_400_000
    : Date.parse(event.period_ends_at);
}

function keyOf(tenantId: string, limitName: string, period: string): string {
  return JSON.stringify([tenantId, limitName, period]);
}
