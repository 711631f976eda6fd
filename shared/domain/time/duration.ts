import type { CalendarPeriod } from '../limit.ts';

const unitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  mo: 30 * 86_400_000,
};

const words: Readonly<Record<string, string>> = {
  second: '1s',
  minute: '1m',
  hour: '1h',
  day: '1d',
  week: '1w',
  month: '1mo',
};

const periods: Readonly<Record<string, CalendarPeriod>> = {
  '1h': 'hour',
  '1d': 'day',
  '1w': 'week',
  '1mo': 'month',
};

/**
 * A window of the policy: a whole number and a unit (`500ms`, `60s`, `1m`, `1h`, `1d`, `1w`, `1mo`), or the name of a
 * unit (`minute`).
 */
export const durationPattern = '^([1-9][0-9]{0,8}(ms|s|m|h|d|w|mo)|second|minute|hour|day|week|month)$';

/** A duration in the admin API, the console and the command line: `30s`, `15m`, `12h`, `7d`. */
export const spanPattern = '^[1-9][0-9]{0,5}[smhd]$';

const durationExpression = new RegExp(durationPattern);
const spanExpression = new RegExp(spanPattern);

/** Milliseconds of a text that matches `durationPattern` (a month has 30 days); null for any other text. */
export function durationMs(text: string): number | null {
  const short = words[text] ?? text;
  if (!durationExpression.test(short)) return null;
  const amount = Number.parseInt(short, 10);
  const unit = unitsMs[short.slice(String(amount).length)];
  return unit === undefined ? null : amount * unit;
}

/** A signed duration, by which a time is corrected: `+15m`, `-2h`. */
export const shiftPattern = '^[+-][0-9]{1,6}[smhd]$';

const shiftExpression = new RegExp(shiftPattern);

/** Milliseconds of a text that matches `shiftPattern`; null for any other text. */
export function shiftMs(text: string): number | null {
  const unit = unitsMs[text.slice(-1)];
  return unit !== undefined && shiftExpression.test(text) ? Number(text.slice(0, -1)) * unit : null;
}

/** Milliseconds of a text that matches `spanPattern`; null for any other text. */
export function spanMs(text: string): number | null {
  return spanExpression.test(text) ? durationMs(text) : null;
}

/** A duration in the largest unit of which it is a multiple, as `spanMs` reads it: `7d`, `90m`. */
export function spanText(seconds: number): string {
  for (const unit of ['d', 'h', 'm'] as const) {
    const length = (unitsMs[unit] ?? 0) / 1000;
    if (seconds % length === 0) return `${seconds / length}${unit}`;
  }
  return `${seconds}s`;
}

/** The calendar period that a quota's window denotes (`1d`, `24h`, `day`); null if it denotes none. */
export function calendarPeriod(text: string): CalendarPeriod | null {
  const named = periods[words[text] ?? text];
  if (named !== undefined) return named;
  const length = durationMs(text);
  const same = Object.entries(periods).find(([short]) => short !== '1mo' && durationMs(short) === length);
  return same === undefined ? null : same[1];
}
