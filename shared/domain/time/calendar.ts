import type { CalendarPeriod } from '../limit.ts';

/** A calendar period: `startMs` is its first instant, `endMs` the first instant of the next period. Unix milliseconds. */
export interface PeriodSpan {
  readonly startMs: number;
  readonly endMs: number;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/**
 * The calendar period that contains `nowMs`, in an IANA zone (null: UTC). Weeks begin on Monday; an hour is an hour of UTC
 * in every zone. If a zone skips or repeats midnight, the day begins with the first instant that has its date and
 * continues when the clocks return to the previous date, so periods meet without gap or overlap. Throws RangeError for an
 * unknown zone: callers check input with `isTimeZone`.
 */
export function periodAt(period: CalendarPeriod, zone: string | null, nowMs: number): PeriodSpan {
  if (period === 'hour') {
    const startMs = Math.floor(nowMs / hourMs) * hourMs;
    return { startMs, endMs: startMs + hourMs };
  }
  const [first, next] = datesAround(period, nowMs + offsetAt(zone, nowMs));
  const endMs = firstInstantOf(zone, next);
  if (endMs > nowMs) return { startMs: firstInstantOf(zone, first), endMs };
  // The clocks returned to the previous date after midnight.
  return { startMs: endMs, endMs: firstInstantOf(zone, datesAround(period, next)[1]) };
}

/** The date in a zone: `YYYY-MM-DD`. */
export function dateAt(zone: string | null, atMs: number): string {
  return new Date(atMs + offsetAt(zone, atMs)).toISOString().slice(0, 10);
}

/** True for every name and link of the IANA database, in any case; false for offsets such as `+05:30`. */
export function isTimeZone(zone: string): boolean {
  if (!/^[A-Za-z]/.test(zone)) return false;
  try {
    formatterOf(zone);
    return true;
  } catch {
    return false;
  }
}

/** The zone as an argument of `periodAt`; null (UTC) for no name and for a zone that does not exist. */
export function zoneNamed(name: string | undefined): string | null {
  return name === undefined || name === 'UTC' || !isTimeZone(name) ? null : name;
}

/** First date of the period and of the next period, each as the UTC midnight of that date. */
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

/** First instant of a date. The offset may change during the night: of the two readings of midnight the earlier one with the right date counts. */
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

/** Milliseconds by which local time is ahead of UTC at an instant. */
function offsetAt(zone: string | null, instantMs: number): number {
  if (zone === null || zone === 'UTC') return 0;
  const text = formatterOf(zone).format(instantMs);
  const [, sign, hours, minutes, seconds = '0'] = offsetShape.exec(text) ?? [];
  if (sign === undefined) return 0;
  const size = Number(hours) * hourMs + Number(minutes) * 60_000 + Number(seconds) * 1_000;
  return sign === '-' ? -size : size;
}

/** Matches the end of the formatted text, e.g. `2026, GMT-03:00`; no match for plain `GMT`, which means no offset. */
const offsetShape = /GMT([+-])(\d{2}):(\d{2})(?::(\d{2}))?$/;

/** Formatters by zone name in lower case. Creating one takes about 50 µs, using it 1 µs. The number of zones bounds the map. */
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(zone: string): Intl.DateTimeFormat {
  const name = zone.toLowerCase();
  let formatter = formatters.get(name);
  if (formatter === undefined) {
    // A format needs a part of the date besides the offset.
    formatter = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      year: 'numeric',
      timeZoneName: 'longOffset',
    });
    formatters.set(name, formatter);
  }
  return formatter;
}
