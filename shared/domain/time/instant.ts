const shape = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/** A valid time, used as an example in error messages. */
export const instantExample = '2026-11-01T00:00:00Z';

const minuteMs = 60_000;
const earliestMs = -62_135_596_800_000; // 0001-01-01T00:00:00.000Z
/** The last time that RFC 3339 can express, in Unix milliseconds. */
export const latestMs = 253_402_300_799_999; // 9999-12-31T23:59:59.999Z

/**
 * Reads a date and time of RFC 3339, e.g. `2026-11-21T11:00:00.5+01:00`, and returns Unix milliseconds. Returns null
 * for any other text and for dates and times that do not exist (30 February, hour 24, year 0), which `Date.parse`
 * would convert to other times. A leap second is read as the first instant after it, as in Unix time. Digits beyond
 * the millisecond are truncated.
 */
export function readInstant(text: string): number | null {
  if (!shape.test(text)) return null;
  const year = digits(text, 0, 4);
  const month = digits(text, 5, 7);
  const day = digits(text, 8, 10);
  const hour = digits(text, 11, 13);
  const minute = digits(text, 14, 16);
  const second = digits(text, 17, 19);
  const offsetMs = offsetOf(text);
  if (year === 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return null;
  if (hour > 23 || minute > 59 || second > 60 || offsetMs === null) return null;
  const atMs = utcMs(year, month, day, hour * 3_600_000 + minute * minuteMs + second * 1_000) - offsetMs;
  if (second === 60 && !isMonthStart(atMs)) return null;
  const instantMs = atMs + millisecondsOf(text);
  return instantMs < earliestMs || instantMs > latestMs ? null : instantMs;
}

/** Offset from UTC in milliseconds; null if it is invalid. */
function offsetOf(text: string): number | null {
  const last = text.charCodeAt(text.length - 1);
  if (last === upperZ || last === lowerZ) return 0;
  const hours = digits(text, text.length - 5, text.length - 3);
  const minutes = digits(text, text.length - 2, text.length);
  if (hours > 23 || minutes > 59) return null;
  const sign = text.charCodeAt(text.length - 6) === minus ? -1 : 1;
  return sign * (hours * 60 + minutes) * minuteMs;
}

function millisecondsOf(text: string): number {
  if (text.charCodeAt(19) !== dot) return 0;
  let milliseconds = 0;
  for (let at = 20, worth = 100; worth >= 1; at += 1, worth /= 10) {
    const digit = text.charCodeAt(at) - zero;
    // The fraction may have fewer than three digits, because the zone follows it directly.
    if (!(digit >= 0 && digit <= 9)) break;
    milliseconds += digit * worth;
  }
  return milliseconds;
}

const zero = 48;
const dot = 46;
const minus = 45;
const upperZ = 90;
const lowerZ = 122;

/**
 * The number that the digits between two positions form. `Number(text.slice(…))` would take longer than the rest of
 * the parsing.
 */
function digits(text: string, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at += 1) value = value * 10 + text.charCodeAt(at) - zero;
  return value;
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/**
 * `Date.UTC` reads the years 0 to 99 as 1900 to 1999. So 400 years, after which the calendar repeats, are added and
 * their length is subtracted.
 */
function utcMs(year: number, month: number, day: number, timeMs: number): number {
  return Date.UTC(year + 400, month - 1, day) - 146_097 * 86_400_000 + timeMs;
}

/** A leap second is always the last second of a month in UTC. */
function isMonthStart(atMs: number): boolean {
  return atMs % 86_400_000 === 0 && new Date(atMs).getUTCDate() === 1;
}
