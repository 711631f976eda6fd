import { periodAt, zoneNamed } from '../../domain/time/calendar.ts';
import { calendarName, calendarParts } from '../../domain/time/calendar-name.ts';
import type { CalendarPeriod } from '../../domain/limit.ts';

/**
 * The bounds of three consecutive calendar periods around a moment: `[before, start)`, `[start, finish)`, which contains the
 * moment, and `[finish, after)`. Unix milliseconds.
 */
export interface Periods {
  readonly before: number;
  readonly start: number;
  readonly finish: number;
  readonly after: number;
}

/** Caches the current period of each kind (hour, day, …) and calendar until it is over. */
export interface PeriodCache {
  around(period: CalendarPeriod, calendar: string, atMs: number): Periods;
}

const periodsMax = 1000;

export function createPeriodCache(): PeriodCache {
  const periodsByName = new Map<string, Periods>();
  return {
    around: (period, calendar, atMs) => {
      const name = `${period} ${calendar}`;
      const cached = periodsByName.get(name);
      if (cached !== undefined && atMs >= cached.start && atMs < cached.finish) return cached;
      if (periodsByName.size >= periodsMax) periodsByName.clear();
      const periods = periodsAround(period, calendar, atMs);
      periodsByName.set(name, periods);
      return periods;
    },
  };
}

/**
 * Returns the period of `calendar` that contains `atMs`, and the bounds of the periods before and after it. The script chooses
 * one of the three by Redis's clock. A time zone that does not exist counts as UTC.
 */
export function periodsAround(period: CalendarPeriod, calendar: string, atMs: number): Periods {
  const { zone, billingDay } = calendarParts(calendar);
  const known = calendarName({ zone: zoneNamed(zone), billingDay });
  const { startMs, endMs } = periodAt(period, known, atMs);
  return {
    before: periodAt(period, known, startMs - 1).startMs,
    start: startMs,
    finish: endMs,
    after: periodAt(period, known, endMs).endMs,
  };
}
