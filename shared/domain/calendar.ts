import type { CalendarPeriod } from './limit.ts';

/** A calendar period as instants: `startMs` belongs to it, `endMs` is the first moment of the next one. Unix milliseconds. */
export interface PeriodSpan {
  readonly startMs: number;
  readonly endMs: number;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/**
 * The calendar period that holds `nowMs`, in an IANA zone (UTC when null). Weeks begin on Monday, an hour is an hour of
 * UTC in every zone. Where a zone skips or repeats midnight, the day begins with the first instant that carries its
 * date, so periods meet without gap or overlap. Throws RangeError on an unknown zone: check it with `isTimeZone` where it enters.
 */
export function periodAt(period: CalendarPeriod, zone: string | null, nowMs: number): PeriodSpan {
  if (period === 'hour') {
    const startMs = Math.floor(nowMs / hourMs) * hourMs;
    return { startMs, endMs: startMs + hourMs };
  }
  const [first, next] = datesAround(period, nowMs + offsetAt(zone, nowMs));
  return { startMs: firstInstantOf(zone, first), endMs: firstInstantOf(zone, next) };
}

/** The date in a zone, `YYYY-MM-DD`. */
export function dateAt(zone: string | null, atMs: number): string {
  return new Date(atMs + offsetAt(zone, atMs)).toISOString().slice(0, 10);
}

export function isTimeZone(zone: string): boolean {
  try {
    formatterOf(zone);
    return true;
  } catch {
    return false;
  }
}

/** The period's first date and the next period's, each as the UTC midnight of that date. */
function datesAround(period: 'day' | 'week' | 'month', localMs: number): [number, number] {
  const midnight = Math.floor(localMs / dayMs) * dayMs;
  if (period === 'day') return [midnight, midnight + dayMs];
  const date = new Date(midnight);
  if (period === 'week') {
    const monday = midnight - ((date.getUTCDay() + 6) % 7) * dayMs;
    return [monday, monday + 7 * dayMs];
  }
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  return [Date.UTC(year, month, 1), Date.UTC(year, month + 1, 1)];
}

/** The offset before and after the night may differ: of the two readings of midnight the earlier with the right date counts. */
function firstInstantOf(zone: string | null, date: number): number {
  if (zone === null) return date;
  const readings = [date - offsetAt(zone, date - dayMs), date - offsetAt(zone, date + dayMs)].sort(
    (a, b) => a - b,
  );
  for (const instant of readings) {
    if (Math.floor((instant + offsetAt(zone, instant)) / dayMs) * dayMs === date) return instant;
  }
  return date - offsetAt(zone, date);
}

/** Milliseconds that local time is ahead of UTC at an instant. */
function offsetAt(zone: string | null, instantMs: number): number {
  if (zone === null || zone === 'UTC') return 0;
  const part: Record<string, number> = {};
  for (const { type, value } of formatterOf(zone).formatToParts(instantMs)) part[type] = Number(value);
  const local = Date.UTC(
    part['year'] ?? 0,
    (part['month'] ?? 1) - 1,
    part['day'] ?? 1,
    part['hour'] ?? 0,
    part['minute'] ?? 0,
    part['second'] ?? 0,
  );
  return local - Math.floor(instantMs / 1000) * 1000;
}

/** Making a formatter costs some 50 µs, using it one: kept for as many zones as there are. */
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(zone: string): Intl.DateTimeFormat {
  let formatter = formatters.get(zone);
  if (formatter === undefined) {
    formatter = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formatters.set(zone, formatter);
  }
  return formatter;
}
