import { periodAt } from './calendar.ts';
import type { MeterWindow } from '../meter.ts';

/** Consecutive windows of equal length, from `startMs` until the next interval begins. Unix milliseconds. */
export interface CalendarInterval {
  readonly startMs: number;
  readonly lengthMs: number;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
/** Shorter than the time between any two changes of a zone's offset; Recife changed twice within a week. */
const strideMs = 3 * dayMs;

/**
 * All calendar windows that a time span touches, as few intervals, with which ClickHouse can compute, although a span may
 * have very many windows. The windows are those of `periodAt`, so a meter's day is a quota's day. `zone` is null for UTC.
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
 * Start of a later day, with only days of 24 hours between. Without this shortcut a year would take 365 calls of
 * `periodAt`.
 */
function skipUsualDays(zone: string | null, dayStartMs: number, toMs: number): number {
  let startMs = dayStartMs;
  for (let nextMs = startMs + strideMs; nextMs < toMs; nextMs += strideMs) {
    if (periodAt('day', zone, nextMs).startMs !== nextMs) break;
    startMs = nextMs;
  }
  return startMs;
}
