import type { CalendarPeriod } from '../../domain/limit.ts';

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

/** A whole number and a unit (`500ms`, `60s`, `1m`, `1h`, `1d`, `1w`, `1mo`), or the unit's name for one of it. */
export const durationPattern = '^([1-9][0-9]{0,8}(ms|s|m|h|d|w|mo)|second|minute|hour|day|week|month)$';

const durationExpression = new RegExp(durationPattern);

/** Milliseconds, a month as 30 days; null where the text is no duration. */
export function durationMs(text: string): number | null {
  const short = words[text] ?? text;
  if (!durationExpression.test(short)) return null;
  const amount = Number.parseInt(short, 10);
  const unit = unitsMs[short.slice(String(amount).length)];
  return unit === undefined ? null : amount * unit;
}

/** The calendar period a quota's window names (`1d`, `24h`, `day`), or null where it names none. */
export function calendarPeriod(text: string): CalendarPeriod | null {
  const named = periods[words[text] ?? text];
  if (named !== undefined) return named;
  const length = durationMs(text);
  const same = Object.entries(periods).find(([short]) => short !== '1mo' && durationMs(short) === length);
  return same === undefined ? null : same[1];
}

const spoken: readonly (readonly [string, number])[] = [
  ['week', 604_800_000],
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
];

/** A span in words, in the largest unit that divides it: `1 minute`, `90 seconds`, `2 days`. */
export function spokenDuration(spanMs: number): string {
  if (spanMs === 30 * 86_400_000) return '1 month';
  for (const [unit, lengthMs] of spoken) {
    if (spanMs >= lengthMs && spanMs % lengthMs === 0) {
      const amount = spanMs / lengthMs;
      return `${amount} ${unit}${amount === 1 ? '' : 's'}`;
    }
  }
  return `${spanMs} milliseconds`;
}
