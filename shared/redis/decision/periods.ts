import { periodAt, zoneNamed } from '../../domain/time/calendar.ts';
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

/** Caches the current period of each kind (hour, day, …) and time zone until it is over. */
export interface PeriodCache {
  around(period: CalendarPeriod, timeZone: string, atMs: number): Periods;
}

const periodsMax = 1000;

export function createPeriodCache(): PeriodCache {
  const periodsByName = new Map<string, Periods>();
  return {
    around: (period, timeZone, atMs) => {
      const name = `${period} ${timeZone}`;
      const cached = periodsByName.get(name);
      if (cached !== undefined && atMs >= cached.start && atMs < cached.finish) return cached;
      if (periodsByName.size >= periodsMax) periodsByName.clear();
      const periods = periodsAround(period, timeZone, atMs);
      periodsByName.set(name, periods);
      return periods;
    },
  };
}

/**
 * Returns the period of `timeZone` that contains `atMs`, and the bounds of the periods before and after it. The script chooses
 * one of the three by Redis's clock. A time zone that does not exist counts as UTC.
 */
export function periodsAround(period: CalendarPeriod, timeZone: string, atMs: number): Periods {
  const zone = zoneNamed(timeZone);
  const { startMs, endMs } = periodAt(period, zone, atMs);
  return {
    before: periodAt(period, zone, startMs - 1).startMs,
    start: startMs,
    finish: endMs,
    after: periodAt(period, zone, endMs).endMs,
  };
}
