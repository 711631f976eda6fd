import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isTimeZone, periodAt } from '../../../shared/domain/time/calendar.ts';
import { calendarIntervals } from '../../../shared/domain/time/calendar-intervals.ts';
import type { CalendarInterval } from '../../../shared/domain/time/calendar-intervals.ts';
import type { CalendarPeriod } from '../../../shared/domain/limit.ts';

/** Every name and link of the IANA time zone database. */
const ianaNames = readFileSync(join(import.meta.dirname, 'iana-names.txt'), 'utf8')
  .trim()
  .split(/\s+/);
/**
 * In these zones clocks went forward on 8 October 2000 and back on 15 October: the shortest summer time in the
 * database.
 */
const weekOfSummer = ['America/Boa_Vista', 'America/Noronha', 'America/Recife'];
/** Zones that moved to the other side of the date line, so that one date of theirs does not exist. */
const skipsADate = new Set([
  'Pacific/Apia',
  'Pacific/Enderbury',
  'Pacific/Fakaofo',
  'Pacific/Kanton',
  'Pacific/Kiritimati',
  'Pacific/Kwajalein',
  'Kwajalein',
]);
const instantArb = fc.oneof(
  fc.integer({ min: Date.UTC(1990, 0, 1), max: Date.UTC(2060, 0, 1) }),
  fc.integer({ min: Date.UTC(2000, 8, 15), max: Date.UTC(2000, 9, 16) }),
);
const seed = Date.now() % 1_000_000;
console.log(`calendar: fast-check seed ${seed}`);

const at = (iso: string): number => Date.parse(iso);
const iso = (ms: number): string => new Date(ms).toISOString();

describe('periodAt', () => {
  test.each<[CalendarPeriod, string | null, string, string, string]>([
    ['hour', null, '2026-03-01T10:59:59.999Z', '2026-03-01T10:00:00.000Z', '2026-03-01T11:00:00.000Z'],
    [
      'hour',
      'Asia/Kathmandu',
      '2026-03-01T10:20:00Z',
      '2026-03-01T10:00:00.000Z',
      '2026-03-01T11:00:00.000Z',
    ],
    ['day', null, '2026-03-01T00:00:00Z', '2026-03-01T00:00:00.000Z', '2026-03-02T00:00:00.000Z'],
    ['day', 'Europe/Berlin', '2026-03-29T12:00:00Z', '2026-03-28T23:00:00.000Z', '2026-03-29T22:00:00.000Z'],
    [
      'day',
      'America/New_York',
      '2026-11-01T12:00:00Z',
      '2026-11-01T04:00:00.000Z',
      '2026-11-02T05:00:00.000Z',
    ],
    ['week', null, '2026-11-22T23:59:59Z', '2026-11-16T00:00:00.000Z', '2026-11-23T00:00:00.000Z'],
    ['week', null, '2026-11-23T00:00:00Z', '2026-11-23T00:00:00.000Z', '2026-11-30T00:00:00.000Z'],
    ['month', null, '2024-02-29T23:00:00Z', '2024-02-01T00:00:00.000Z', '2024-03-01T00:00:00.000Z'],
    ['month', 'Asia/Tokyo', '2026-01-31T15:00:00Z', '2026-01-31T15:00:00.000Z', '2026-02-28T15:00:00.000Z'],
    [
      'month',
      'America/Los_Angeles',
      '2026-03-20T00:00:00Z',
      '2026-03-01T08:00:00.000Z',
      '2026-04-01T07:00:00.000Z',
    ],
  ])('a %s in %s that holds %s runs from %s to %s', (period, zone, instant, start, end) => {
    const span = periodAt(period, zone, at(instant));
    expect([iso(span.startMs), iso(span.endMs)]).toEqual([start, end]);
  });

  test('a day whose midnight the clocks skip begins with its first instant', () => {
    const span = periodAt('day', 'America/Sao_Paulo', at('2018-11-04T12:00:00Z'));
    expect(iso(span.startMs)).toBe('2018-11-04T03:00:00.000Z');
    expect(periodAt('day', 'America/Sao_Paulo', at('2018-11-03T12:00:00Z')).endMs).toBe(span.startMs);
  });

  test('a day goes on when the clocks fall back over its midnight', () => {
    // St. John's, 28 October 2007: at 00:01 the clocks went back to 23:01 of the day before.
    const start = '2007-10-28T02:30:00.000Z';
    for (const instant of [start, '2007-10-28T02:45:00Z', '2007-10-28T03:29:59Z', '2007-10-28T12:00:00Z']) {
      expect(iso(periodAt('day', 'America/St_Johns', at(instant)).startMs), instant).toBe(start);
    }
  });

  test('periods hold their instant and meet without gap or overlap, in every zone and through every link', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<CalendarPeriod>('hour', 'day', 'week', 'month'),
        fc.constantFrom(null, ...ianaNames),
        instantArb,
        (period, zone, nowMs) => {
          const span = periodAt(period, zone, nowMs);
          expect(span.startMs).toBeLessThanOrEqual(nowMs);
          expect(span.endMs).toBeGreaterThan(nowMs);
          expect(periodAt(period, zone, span.startMs)).toEqual(span);
          expect(periodAt(period, zone, span.endMs - 1)).toEqual(span);
          expect(periodAt(period, zone, span.endMs).startMs).toBe(span.endMs);
        },
      ),
      { seed, numRuns: 2_000 },
    );
  });

  test.each<[string | null, string, string, string]>([
    ['UTC@15', '2026-03-14T23:59:59.999Z', '2026-02-15', '2026-03-15'],
    ['UTC@15', '2026-03-15T00:00:00Z', '2026-03-15', '2026-04-15'],
    ['UTC@1', '2026-03-15T00:00:00Z', '2026-03-01', '2026-04-01'],
    ['UTC@31', '2026-02-27T12:00:00Z', '2026-01-31', '2026-02-28'],
    ['UTC@31', '2026-02-28T00:00:00Z', '2026-02-28', '2026-03-31'],
    ['UTC@31', '2026-04-30T00:00:00Z', '2026-04-30', '2026-05-31'],
    ['UTC@30', '2028-02-29T00:00:00Z', '2028-02-29', '2028-03-30'],
    ['UTC@29', '2026-12-31T00:00:00Z', '2026-12-29', '2027-01-29'],
    ['UTC@29', '2027-01-01T00:00:00Z', '2026-12-29', '2027-01-29'],
  ])('a month of %s that holds %s runs from %s to %s', (calendar, instant, start, end) => {
    const span = periodAt('month', calendar, at(instant));
    expect([iso(span.startMs), iso(span.endMs)]).toEqual([`${start}T00:00:00.000Z`, `${end}T00:00:00.000Z`]);
  });

  test('a month with a billing day begins at midnight of its zone, also where the clocks change in between', () => {
    const span = periodAt('month', 'Europe/Berlin@15', at('2026-03-20T00:00:00Z'));
    expect([iso(span.startMs), iso(span.endMs)]).toEqual([
      '2026-03-14T23:00:00.000Z',
      '2026-04-14T22:00:00.000Z',
    ]);
  });

  test('a month contains the first instant of exactly one billing date: its own start, in every zone', () => {
    const days = fc.integer({ min: 1, max: 31 });
    fc.assert(
      fc.property(
        fc.constantFrom(...ianaNames.filter((zone) => !skipsADate.has(zone))),
        days,
        instantArb,
        (zone, day, nowMs) => {
          const { startMs, endMs } = periodAt('month', `${zone}@${day}`, nowMs);
          expect(startMs <= nowMs && nowMs < endMs).toBe(true);
          expect(dateIn(zone, startMs - 1)).not.toBe(dateIn(zone, startMs));
          // A step of half a day misses no date, and the dates are counted independently of the calendar.
          const dates = new Set<string>();
          for (let atMs = startMs; atMs < endMs; atMs += 12 * 3_600_000) dates.add(dateIn(zone, atMs));
          const billing = [...dates].filter((date) => isBillingDate(date, day));
          expect(billing, `${zone}@${day} at ${iso(nowMs)}`).toEqual([dateIn(zone, startMs)]);
          expect(isBillingDate(dateIn(zone, endMs), day)).toBe(true);
          expect(periodAt('month', `${zone}@${day}`, endMs).startMs).toBe(endMs);
        },
      ),
      { seed, numRuns: 200 },
    );
  });

  test.each(['hour', 'day', 'week'] as const)('the billing day has no effect on a %s', (period) => {
    const nowMs = at('2026-03-29T12:00:00Z');
    expect(periodAt(period, 'Asia/Tokyo@17', nowMs)).toEqual(periodAt(period, 'Asia/Tokyo', nowMs));
  });

  test('a day holds the instants that carry its date, in every zone', () => {
    fc.assert(
      fc.property(fc.constantFrom(...ianaNames), instantArb, (zone, nowMs) => {
        const { startMs, endMs } = periodAt('day', zone, nowMs);
        const date = dateIn(zone, startMs);
        expect(dateIn(zone, startMs - 1)).not.toBe(date);
        expect(dateIn(zone, endMs - 1) <= date, 'clocks that fall back may show the day before').toBe(true);
        expect(dateIn(zone, endMs) > date).toBe(true);
      }),
      { seed, numRuns: 2_000 },
    );
  });
});

describe('isTimeZone', () => {
  test.each([...ianaNames, 'utc', 'asia/kolkata'])('takes %s', (name) => {
    expect(isTimeZone(name)).toBe(true);
  });

  test.each(['Berlin', '', '+05:30', 'GMT+5', 'Mars/Base', 'Europe/Berlin ', 'posix/UTC', '../UTC'])(
    'refuses %j',
    (name) => expect(isTimeZone(name)).toBe(false),
  );
});

describe('calendarIntervals', () => {
  test('few intervals make up exactly the windows of the calendar, in every zone', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<'day' | 'month'>('day', 'month'),
        fc.constantFrom(...ianaNames, ...weekOfSummer),
        instantArb,
        fc.integer({ min: 1, max: 3 * 366 }),
        (window, zone, fromMs, days) => {
          const toMs = fromMs + days * 86_400_000;
          const windows: number[] = [];
          for (let ms = fromMs; ms < toMs; ms = periodAt(window, zone, ms).endMs) {
            windows.push(periodAt(window, zone, ms).startMs);
          }
          expect(startsOf(calendarIntervals(window, zone, fromMs, toMs), toMs)).toEqual(windows);
        },
      ),
      { seed, numRuns: 100 },
    );
  });

  test('minutes and hours are those of UTC in every zone, as are the hours of quotas', () => {
    const fromMs = at('2026-03-01T10:20:30Z');
    const hour = { startMs: at('2026-03-01T10:00:00Z'), lengthMs: 3_600_000 };
    expect(calendarIntervals('hour', 'Asia/Kathmandu', fromMs, fromMs + 1)).toEqual([hour]);
    const minute = { startMs: at('2026-03-01T10:20:00Z'), lengthMs: 60_000 };
    expect(calendarIntervals('minute', 'Asia/Kathmandu', fromMs, fromMs + 1)).toEqual([minute]);
  });
});

function startsOf(intervals: readonly CalendarInterval[], toMs: number): number[] {
  return intervals.flatMap(({ startMs, lengthMs }, index) => {
    const endMs = intervals[index + 1]?.startMs ?? toMs;
    return Array.from(
      { length: Math.ceil((endMs - startMs) / lengthMs) },
      (_, at) => startMs + at * lengthMs,
    );
  });
}

/** Returns the local date by `Intl`, independently of the calendar's own code. */
function dateIn(zone: string, ms: number): string {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short' });
  return format.format(ms);
}

/** Whether a date is the billing day, or the last day of a month that does not have it. */
function isBillingDate(date: string, day: number): boolean {
  const next = new Date(Date.parse(`${date}T00:00:00Z`) + 86_400_000).getUTCDate();
  const own = Number(date.slice(8));
  return own === day || (own < day && next === 1);
}
