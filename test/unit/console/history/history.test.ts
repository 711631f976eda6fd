import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { byInterval, sumsByKey } from '../../../../services/console/portal/history/history-figures.ts';
import { intervalsOf, wantedHistory } from '../../../../services/console/portal/history/wanted-history.ts';
import type { Fields } from '../../../../services/console/portal/history/wanted-history.ts';
import {
  meterGroups,
  wantedMeter,
  windowStarts,
} from '../../../../services/console/portal/history/wanted-meter.ts';
import { periodAt } from '../../../../shared/domain/time/calendar.ts';
import type { MeterDefinition } from '../../../../shared/domain/meter.ts';
import { dividedHours } from '../../../../shared/clickhouse/queries/portal/usage-history.ts';
import type { HistoryRow } from '../../../../shared/clickhouse/queries/portal/usage-history.ts';

const nowMs = Date.parse('2026-11-27T10:07:31Z');
const iso = (ms: number | undefined): string => new Date(ms ?? Number.NaN).toISOString();
const row = (part: Partial<HistoryRow>): HistoryRow => ({
  ...{ at_ms: 0, key: '', requests: 1, limited: 0, errors: 0, units: 1, cost: 0n, latency_p95: 5 },
  ...part,
});

describe('the span of the history', () => {
  test.each([
    ['1h', 60],
    ['6h', 72],
    ['24h', 96],
    ['7d', 168],
    ['30d', 30],
    ['90d', 90],
  ])(
    '%s has %i intervals, and the previous span has the same length and ends where it begins',
    (span, count) => {
      const { query, previous } = wantedHistory({ span }, 'UTC', nowMs);
      expect(intervalsOf(query)).toHaveLength(count);
      expect(query.startMs).toBeLessThan(nowMs);
      expect(query.endMs).toBeGreaterThan(nowMs);
      expect([previous.endMs, query.startMs - previous.startMs]).toEqual([
        query.startMs,
        query.endMs - query.startMs,
      ]);
    },
  );

  test('days begin in the zone of the tenant, also over a change of the clocks', () => {
    const { query } = wantedHistory({ span: '90d' }, 'America/New_York', nowMs);
    const starts = intervalsOf(query);
    expect(starts).toHaveLength(90);
    expect([iso(starts[0]), iso(starts.at(-1))]).toEqual([
      '2026-08-30T04:00:00.000Z',
      '2026-11-27T05:00:00.000Z',
    ]);
  });

  test.each([
    ['the clocks go back', '2026-11-10T10:00:00Z', { span: '30d' }, '2026-09-11T22:00:00.000Z', 30],
    ['the clocks go forward', '2026-04-10T10:00:00Z', { span: '30d' }, '2026-02-09T23:00:00.000Z', 30],
    [
      'the clocks go back in a custom span',
      '2026-11-10T10:00:00Z',
      { span: 'custom', from: '2026-10-20', to: '2026-10-29' },
      '2026-10-09T22:00:00.000Z',
      10,
    ],
  ])('%s: the previous span has the same number of days', (_, now, fields, startIso, days) => {
    const zone = 'Europe/Berlin';
    const requests = wantedHistory(fields, zone, Date.parse(now));
    expect([intervalsOf(requests.query).length, intervalsOf(requests.previous).length]).toEqual([days, days]);
    expect(iso(requests.previous.startMs)).toBe(startIso);
    const meter: MeterDefinition = {
      ...{ name: 'calls', eventType: 'call', aggregation: 'count', value: null, groupBy: [] },
    };
    const wanted = wantedMeter(
      { ...fields, metric: 'meter:calls' },
      new Map([['calls', meter]]),
      zone,
      Date.parse(now),
    );
    if (wanted === null) throw new Error('no meter');
    expect([windowStarts(wanted.query).length, windowStarts(wanted.previous).length]).toEqual([days, days]);
    expect(iso(wanted.previous.fromMs)).toBe(startIso);
  });

  test('a custom span includes both dates of the zone; a span that is too long or no span is replaced', () => {
    const custom = { span: 'custom', from: '2026-11-01', to: '2026-11-02' };
    const { query, span } = wantedHistory(custom, 'Pacific/Auckland', nowMs);
    expect([span, iso(query.startMs), iso(query.endMs)]).toEqual([
      'custom',
      '2026-10-31T11:00:00.000Z',
      '2026-11-02T11:00:00.000Z',
    ]);
    for (const wrong of [{ from: '2020-01-01' }, { from: 'x' }, { from: '2026-11-03' }, { to: '2026-02-31' }])
      expect(wantedHistory({ ...custom, ...wrong }, 'UTC', nowMs).span).toBe('30d');
  });

  test('the date fields have the dates of the span that the page shows, or what was entered instead of a span', () => {
    const datesOf = (fields: Fields) => wantedHistory(fields, 'UTC', nowMs).dates;
    const { query } = wantedHistory({ span: '7d' }, 'UTC', nowMs);
    const last = iso(query.endMs - 1).slice(0, 10);
    expect(datesOf({ span: '7d', from: '2026-01-01' })).toEqual({
      from: iso(query.startMs).slice(0, 10),
      to: last,
    });
    const entered = { from: '2026-11-02', to: '2026-11-01' };
    expect(datesOf({ span: 'custom', ...entered })).toEqual(entered);
  });

  test.each([
    ['UTC', []],
    ['America/New_York', []],
    ['Asia/Kolkata', ['2026-11-24T18:00', '2026-11-25T18:00', '2026-11-26T18:00', '2026-11-27T18:00']],
    ['Asia/Kathmandu', ['2026-11-24T18:00', '2026-11-25T18:00', '2026-11-26T18:00', '2026-11-27T18:00']],
  ])('in %s the hours that contain a midnight are %j', (zone, hours) => {
    const { startMs, endMs } = wantedHistory({ span: '30d' }, zone, nowMs).query;
    const divided = dividedHours({ startMs: endMs - 3 * 86_400_000, endMs, zone });
    expect(divided.map((at) => iso(at * 1000).slice(0, 16)).toSorted()).toEqual(hours);
    expect(dividedHours({ startMs, endMs, zone })).toHaveLength(hours.length === 0 ? 0 : 31);
  });

  test('no address makes it fail or unbounded', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('span', 'from', 'to', 'by', 'metric', 'user'), fc.string()),
        fc.constantFrom('UTC', 'Asia/Kathmandu', 'Europe/Berlin'),
        (fields, zone) => {
          expect(intervalsOf(wantedHistory(fields, zone, nowMs).query).length).toBeLessThan(200);
        },
      ),
    );
  });
});

test('intervals without usage stay, and the previous period is at the same place', () => {
  const { query, previous } = wantedHistory({ span: '1h' }, 'UTC', nowMs);
  const rows = [row({ at_ms: query.startMs + 60_000, requests: 3 })];
  const before = [row({ at_ms: previous.startMs + 60_000, requests: 2 })];
  const intervals = byInterval(query, rows, { query: previous, rows: before });
  expect(intervals).toHaveLength(60);
  expect(intervals[0]?.rows.size).toBe(0);
  expect([intervals[1]?.rows.get('')?.requests, intervals[1]?.previous?.requests]).toEqual([3, 2]);
});

test('sums by value have the largest first, and an unknown amount stays unknown', () => {
  const rows = [row({ key: 'a', units: null }), row({ key: 'b', requests: 5 }), row({ key: 'a' })];
  expect(sumsByKey(rows)).toMatchObject([
    { key: 'b', requests: 5 },
    { key: 'a', requests: 2, units: null },
  ]);
});

describe('the history of a meter', () => {
  const meter = (name: string, groupBy: readonly string[]): [string, MeterDefinition] => [
    name,
    { name, eventType: 'llm.completion.v1', aggregation: 'sum', value: 'tokens', groupBy },
  ];
  const meters = new Map([meter('tokens', ['model', 'usage.region']), meter('images', ['size', 'model'])]);

  test.each([
    [{ metric: 'meter:tokens' }, 'tokens', null],
    [{ metric: 'meter:tokens', by: 'model' }, 'tokens', 'model'],
    [{ metric: 'meter:images', by: 'usage.region' }, 'images', null],
    [{ metric: 'requests', by: 'tokens.usage.region' }, 'tokens', 'usage.region'],
    [{ by: 'usage.region' }, 'tokens', 'usage.region'],
    [{ by: 'size' }, 'images', 'size'],
  ])('%j is the meter %s by %s', (fields, name, by) => {
    const wanted = wantedMeter(fields, meters, 'UTC', nowMs);
    expect([wanted?.definition.name, wanted?.by, wanted?.query.groupBy]).toEqual([
      name,
      by,
      by === null ? [] : [by],
    ]);
  });

  test.each([
    {},
    { by: 'model' },
    { metric: 'requests', by: 'size' },
    { metric: 'meter:none' },
    { by: 'none' },
  ])('%j is the history of requests', (fields) => {
    expect(wantedMeter(fields, meters, 'UTC', nowMs)).toBeNull();
  });

  test('every group of every meter is offered under its own name', () => {
    const offered = meterGroups(meters).map(([by]) => wantedMeter({ by }, meters, 'UTC', nowMs));
    expect(offered.map((wanted) => `${wanted?.definition.name ?? ''} ${wanted?.by ?? ''}`)).toEqual([
      'tokens model',
      'tokens usage.region',
      'images size',
      'images model',
    ]);
  });

  test.each([
    ['1h', 'minute', 60],
    ['6h', 'minute', 360],
    ['24h', 'hour', 24],
    ['7d', 'hour', 168],
    ['30d', 'day', 30],
    ['90d', 'day', 90],
  ] as const)(
    '%s has windows of a %s, which begin where the periods of quotas begin',
    (span, window, count) => {
      for (const zone of ['UTC', 'America/New_York', 'Asia/Kolkata']) {
        const { query, previous } = wantedMeter({ metric: 'meter:tokens', span }, meters, zone, nowMs) ?? {};
        if (query === undefined || previous === undefined) throw new Error('no meter');
        const starts = windowStarts(query);
        expect([query.window, starts.length, previous.toMs]).toEqual([window, count, query.fromMs]);
        if (window === 'day')
          expect(starts.map((atMs) => periodAt('day', zone, atMs).startMs)).toEqual(starts);
      }
    },
  );
});
