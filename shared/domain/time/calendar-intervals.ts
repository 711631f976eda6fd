import { periodAt } from './calendar.ts';
import type { MeterWindow } from '../meter.ts';

/**
 * A sequence of consecutive windows of equal length. It starts at `startMs` (Unix milliseconds) and ends where the
 * next interval starts.
 */
export interface CalendarInterval {
  readonly startMs: number;
  readonly lengthMs: number;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
/**
 * Shorter than the time between any two changes of a zone's UTC offset. The two closest changes are those of Recife,
 * within a week.
 */
const strideMs = 3 * dayMs;

/**
 * All calendar windows that overlap a time span, described by a few intervals. A span can contain very many windows,
 * so ClickHouse computes the windows from the intervals. The windows equal the periods of `periodAt`, so the day of a
 * meter is the day of a quota. `zone` null means UTC.
 */
export function calendarIntervals(
  window: MeterWindow,
  zone: string | null,
  fromMs: number,
  toMs: number,
): readonly CalendarInterval[] {
  if (window === 'minute') return [{ startMs: Math.floor(fromMs / minuteMs) * minuteMs, lengthMs: minuteMs }];
  if (window === 'hour') return [{ startMs: periodAt('hour', zone, fromMs).startMs, lengthMs: hourMs }];
  const intervals: CalendarInterval[] = [];
  let { startMs, endMs } = periodAt(window, zone, fromMs);
  for (;;) {
    const lengthMs = endMs - startMs;
    if (intervals.at(-1)?.lengthMs !== lengthMs) intervals.push({ startMs, lengthMs });
    if (endMs >= toMs) return intervals;
    startMs = window === 'day' && lengthMs === dayMs ? skipUsualDays(zone, endMs, toMs) : endMs;
    endMs = periodAt(window, zone, startMs).endMs;
  }
}

/**
 * Start of a later day, where every day in between has 24 hours. Without this shortcut, a year would need 365 calls
 * of `periodAt`.
 */
function skipUsualDays(zone: string | null, dayStartMs: number, toMs: number): number {
  let startMs = dayStartMs;
  for (let nextMs = startMs + strideMs; nextMs < toMs; nextMs += strideMs) {
    if (periodAt('day', zone, nextMs).startMs !== nextMs) break;
    startMs = nextMs;
  }
  return startMs;
}
