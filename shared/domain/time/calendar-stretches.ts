import { periodAt } from './calendar.ts';
import type { MeterWindow } from '../meter.ts';

/** Windows of one length, one behind the other: from `startMs` until the next stretch begins. Unix milliseconds. */
export interface Stretch {
  readonly startMs: number;
  readonly lengthMs: number;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
/** No zone ever changed its clocks and changed them back so soon; Recife did within a week. */
const strideMs = 3 * dayMs;

/**
 * All windows of the calendar that a span touches, in a form that a database computes with: few stretches, though a
 * span may have very many windows. They are those of `periodAt`, so a meter's day is a quota's day. `zone` is null for UTC.
 */
export function stretchesOf(
  window: MeterWindow,
  zone: string | null,
  fromMs: number,
  toMs: number,
): readonly Stretch[] {
  if (window === 'minute') return [{ startMs: Math.floor(fromMs / minuteMs) * minuteMs, lengthMs: minuteMs }];
  if (window === 'hour') return [{ startMs: periodAt('hour', zone, fromMs).startMs, lengthMs: hourMs }];
  const stretches: Stretch[] = [];
  let { startMs, endMs } = periodAt(window, zone, fromMs);
  for (;;) {
    const lengthMs = endMs - startMs;
    if (stretches.at(-1)?.lengthMs !== lengthMs) stretches.push({ startMs, lengthMs });
    if (endMs >= toMs) return stretches;
    startMs = window === 'day' && lengthMs === dayMs ? skipUsualDays(zone, endMs, toMs) : endMs;
    endMs = periodAt(window, zone, startMs).endMs;
  }
}

/**
 * A later day that begins at the same time of UTC, with days of 24 hours between. Without it a year would cost 365
 * looks into the zone.
 */
function skipUsualDays(zone: string | null, dayStartMs: number, toMs: number): number {
  let startMs = dayStartMs;
  for (let nextMs = startMs + strideMs; nextMs < toMs; nextMs += strideMs) {
    if (periodAt('day', zone, nextMs).startMs !== nextMs) break;
    startMs = nextMs;
  }
  return startMs;
}
