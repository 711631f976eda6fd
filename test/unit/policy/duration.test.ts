import { expect, test } from 'vitest';
import { calendarPeriod, durationMs, spokenDuration } from '../../../shared/policy/file/duration.ts';

test.each([
  ['500ms', 500],
  ['60s', 60_000],
  ['1m', 60_000],
  ['1h', 3_600_000],
  ['1d', 86_400_000],
  ['1w', 604_800_000],
  ['1mo', 2_592_000_000],
  ['month', 2_592_000_000],
  ['0s', null],
  ['-1s', null],
  ['1.5h', null],
  ['1', null],
  ['', null],
])('the duration %s is %s ms', (text, ms) => {
  expect(durationMs(text)).toBe(ms);
});

test.each([
  ['1d', 'day'],
  ['24h', 'day'],
  ['60m', 'hour'],
  ['7d', 'week'],
  ['month', 'month'],
  ['30d', null],
  ['2d', null],
])('the calendar period of %s is %s', (text, period) => {
  expect(calendarPeriod(text)).toBe(period);
});

test.each([
  [60_000, '1 minute'],
  [90_000, '90 seconds'],
  [3_600_000, '1 hour'],
  [172_800_000, '2 days'],
  [2_592_000_000, '1 month'],
])('%s ms are spoken as %s', (ms, text) => {
  expect(spokenDuration(ms)).toBe(text);
});
