import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isTimeZone, periodAt } from '../../../shared/domain/calendar.ts';
import type { CalendarPeriod } from '../../../shared/domain/limit.ts';

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

  test('periods hold their instant and meet without gap or overlap, in every zone', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<CalendarPeriod>('hour', 'day', 'week', 'month'),
        fc.constantFrom(
          null,
          'UTC',
          'Europe/Berlin',
          'America/St_Johns',
          'Asia/Kolkata',
          'Pacific/Apia',
          'Africa/Cairo',
        ),
        fc.integer({ min: at('2020-01-01'), max: at('2035-01-01') }),
        (period, zone, nowMs) => {
          const span = periodAt(period, zone, nowMs);
          expect(span.startMs).toBeLessThanOrEqual(nowMs);
          expect(span.endMs).toBeGreaterThan(nowMs);
          expect(periodAt(period, zone, span.startMs)).toEqual(span);
          expect(periodAt(period, zone, span.endMs - 1)).toEqual(span);
          expect(periodAt(period, zone, span.endMs).startMs).toBe(span.endMs);
        },
      ),
    );
  });
});

test('isTimeZone tells IANA zones from other words', () => {
  expect([isTimeZone('Europe/Berlin'), isTimeZone('UTC'), isTimeZone('Berlin'), isTimeZone('')]).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
