import type { CalendarPeriod } from '../limit.ts';
import { calendarParts } from './calendar-name.ts';

/**
 * A calendar period in Unix milliseconds: `startMs` is its first instant, `endMs` the first instant of the next
 * period.
 */
export interface PeriodSpan {
  readonly startMs: number;
  readonly endMs: number;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/**
 * The period of a calendar (see `calendarParts`) that contains `nowMs`. Weeks begin on Monday, months on the calendar's
 * billing day. An hour is an hour of UTC in every zone. Periods have no gaps and no overlaps: if a change of the clocks
 * skips or repeats midnight, a day begins at the first instant with its date, and does not end when the clocks return to
 * the previous date. Throws RangeError for an unknown zone; callers check input with `isTimeZone`.
 */
export function periodAt(period: CalendarPeriod, calendar: string | null, nowMs: number): PeriodSpan {
  if (period === 'hour') {
    const startMs = Math.floor(nowMs / hourMs) * hourMs;
    return { startMs, endMs: startMs + hourMs };
  }
  const { zone, billingDay } = calendarParts(calendar);
  const [first, next] = datesAround(period, billingDay, nowMs + offsetAt(zone, nowMs));
  const endMs = firstInstantOf(zone, next);
  if (endMs > nowMs) return { startMs: firstInstantOf(zone, first), endMs };
  // The clocks were set back to the previous date after midnight.
  return { startMs: endMs, endMs: firstInstantOf(zone, datesAround(period, billingDay, next)[1]) };
}

/** The date of an instant in a calendar: `YYYY-MM-DD`. */
export function dateAt(calendar: string | null, atMs: number): string {
  const { zone } = calendarParts(calendar);
  return new Date(atMs + offsetAt(zone, atMs)).toISOString().slice(0, 10);
}

/**
 * Whether the text is a name or link of the IANA database, in upper or lower case. Offsets such as `+05:30` are not
 * accepted.
 */
export function isTimeZone(zone: string): boolean {
  if (!/^[A-Za-z]/.test(zone)) return false;
  try {
    formatterOf(zone);
    return true;
  } catch {
    return false;
  }
}

/**
 * The zone as a part of a calendar; null (UTC) if the name is absent or unknown, because a record that another release
 * wrote must not stop a decision.
 */
export function zoneNamed(name: string | null | undefined): string | null {
  return name === undefined || name === null || name === 'UTC' || !isTimeZone(name) ? null : name;
}

/**
 * First date of the period and first date of the next period, each as the Unix milliseconds of its midnight in UTC.
 */
function datesAround(
  period: 'day' | 'week' | 'month',
  billingDay: number,
  localMs: number,
): [number, number] {
  const midnight = Math.floor(localMs / dayMs) * dayMs;
  if (period === 'day') return [midnight, midnight + dayMs];
  const date = new Date(midnight);
  if (period === 'week') {
    const monday = midnight - ((date.getUTCDay() + 6) % 7) * dayMs;
    return [monday, monday + 7 * dayMs];
  }
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  const first = billingDate(year, month, billingDay);
  return midnight < first
    ? [billingDate(year, month - 1, billingDay), first]
    : [first, billingDate(year, month + 1, billingDay)];
}

/** The day on which a billing month begins: the billing day, or the last day of a month that is too short for it. */
function billingDate(year: number, month: number, billingDay: number): number {
  const lastDay = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  return Date.UTC(year, month, Math.min(billingDay, lastDay));
}

/**
 * First instant of a date in a zone. Because the offset may change during the night, midnight is computed with both
 * offsets; the earlier result that has the right date is used.
 */
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

/** Difference between local time and UTC at an instant, in milliseconds; positive if local time is ahead. */
function offsetAt(zone: string | null, instantMs: number): number {
  if (zone === null || zone === 'UTC') return 0;
  const text = formatterOf(zone).format(instantMs);
  const [, sign, hours, minutes, seconds = '0'] = offsetShape.exec(text) ?? [];
  if (sign === undefined) return 0;
  const size = Number(hours) * hourMs + Number(minutes) * 60_000 + Number(seconds) * 1_000;
  return sign === '-' ? -size : size;
}

/**
 * Matches the offset at the end of the formatted text, e.g. `2026, GMT-03:00`. Plain `GMT` does not match and means
 * offset 0.
 */
const offsetShape = /GMT([+-])(\d{2}):(\d{2})(?::(\d{2}))?$/;

/**
 * Formatters by zone name in lower case: creating one takes about 50 µs, using it 1 µs. The map cannot grow beyond
 * the number of zones.
 */
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(zone: string): Intl.DateTimeFormat {
  const name = zone.toLowerCase();
  let formatter = formatters.get(name);
  if (formatter === undefined) {
    // The formatter needs at least one part of the date besides the offset.
    formatter = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      year: 'numeric',
      timeZoneName: 'longOffset',
    });
    formatters.set(name, formatter);
  }
  return formatter;
}
