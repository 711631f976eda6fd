import { expect, test } from 'vitest';
import { calendarPeriod, durationMs, shiftMs, spanMs } from '../../../shared/domain/time/duration.ts';
import { durationInWords, prometheusDuration } from '../../../shared/domain/time/format-duration.ts';

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
])('%s ms in words are %s', (ms, text) => {
  expect(durationInWords(ms)).toBe(text);
});

test.each([
  [300, '5m'],
  [15, '15s'],
  [0.5, '500ms'],
])('%s seconds are %s in files of Prometheus', (seconds, text) => {
  expect(prometheusDuration(seconds)).toBe(text);
});

test.each([
  ['15m', 900_000],
  ['7d', 604_800_000],
  ['500ms', null],
  ['1w', null],
  ['0s', null],
  ['1234567s', null],
])('the span %s is %s ms', (text, ms) => {
  expect(spanMs(text)).toBe(ms);
});

test.each([
  ['+15m', 900_000],
  ['-2h', -7_200_000],
  ['+0s', 0],
  ['15m', null],
  ['+1w', null],
])('the shift %s is %s ms', (text, ms) => {
  expect(shiftMs(text)).toBe(ms);
});
