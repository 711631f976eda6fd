import { periodAt, zoneNamed } from '../../domain/time/calendar.ts';
import type { CalendarPeriod } from '../../domain/limit.ts';

/** Four boundaries around a moment: the period holding it is `[start, finish)`. Unix milliseconds. */
export interface Periods {
  readonly before: number;
  readonly start: number;
  readonly finish: number;
  readonly after: number;
}

/** Remembers the period of each kind and zone until it is over. */
export interface PeriodCache {
  around(period: CalendarPeriod, timeZone: string, atMs: number): Periods;
}

const periodsMax = 1000;

export function createPeriodCache(): PeriodCache {
  const known = new Map<string, Periods>();
  return {
    around: (period, timeZone, atMs) => {
      const name = `${period} ${timeZone}`;
      const cached = known.get(name);
      if (cached !== undefined && atMs >= cached.start && atMs < cached.finish) return cached;
      if (known.size >= periodsMax) known.clear();
      const periods = periodsAround(period, timeZone, atMs);
      known.set(name, periods);
      return periods;
    },
  };
}

/**
 * The period of `timeZone` that holds `atMs`, with the one before and the one after: Redis's clock decides which of
 * them it is in. A zone that does not exist counts as UTC.
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
