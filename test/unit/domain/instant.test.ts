// Goal: every input converts a text to a time by the same rule: RFC 3339 and the calendar.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decode, decodeBoundsDefault } from '../../../services/aggregator/events/decode.ts';
import { block } from '../../../shared/tenants/block.ts';
import { addBoost } from '../../../shared/tenants/boosts.ts';
import { meterQueryOf } from '../../../services/gateway/entrypoints/api/meter-query.ts';
import { acceptEvent } from '../../../services/gateway/ingest/accept-event.ts';
import { publishedTimeBounds } from '../../../shared/domain/events/bounds.ts';
import { readInstant } from '../../../shared/domain/time/instant.ts';

import { loadPolicy } from '../../../shared/policy/load.ts';
import { violationsOfRecord } from '../../../shared/tenants/record/violations.ts';

/**
 * Texts with one defect each. Without the defect, each would be within the bounds of every reader. `Date.parse` accepts
 * many of them.
 */
const impossible = [
  '2026-02-30T10:00:00Z',
  '2026-02-29T10:00:00Z',
  '2026-04-31T10:00:00Z',
  '2026-13-01T10:00:00Z',
  '2026-00-10T10:00:00Z',
  '2026-11-00T10:00:00Z',
  '2026-11-32T10:00:00Z',
  '2026-11-20T24:00:00Z',
  '2026-11-20T10:60:00Z',
  '2026-11-20T10:00:60Z',
  '2026-11-20T10:00:00+24:00',
  '2026-11-20T10:00:00+01:60',
  '0000-11-20T10:00:00Z',
  '+002026-11-20T10:00:00Z',
  '2026-11-20 10:00:00Z',
  '2026-11-20T10:00:00',
  '2026-11-20T10:00Z',
  '2026-11-20T10:00:00.Z',
  '2026-11-20T10:00:00,5Z',
  '2026-11-20T10:00:00+0100',
  '2026-11-20T10:00:00+01',
  ' 2026-11-20T10:00:00Z',
  '2026-11-20T10:00:00Z\n',
  '2026-11-20',
  '20 Nov 2026 10:00:00 GMT',
  '٢٠٢٦-11-20T10:00:00Z',
  '',
];

const nowMs = Date.parse('2026-11-21T12:00:00Z');
const policy = await loadPolicy('policies/default.yaml', {}, { secrets: 'optional' });
const bare = { tenant_id: 'acme', updated_at: '2026-11-20T10:00:00Z', updated_by: 'kim' };
const boost = { limit: 'minute', multiply: 2, reason: 'launch', actor: 'kim' };
const ends = '2027-01-01T00:00:00Z';
const meter = { name: 'm', eventType: 't', aggregation: 'count' as const, value: null, groupBy: [] };
const caller = { tenantId: 'acme', timeZone: 'UTC', nowMs };
const tenant = {
  tenantId: 'acme',
  userId: null,
  planClaim: null,
  ip: '',
  service: null,
  method: 'api_key',
} as const;

/** All readers of times in input: true if the reader accepts the text. */
const readers: Readonly<Record<string, (text: string) => boolean>> = {
  readInstant: (text) => readInstant(text) !== null,
  'POST /v1/events': (text) =>
    'event' in
    acceptEvent(
      { specversion: '1.0', id: 'e', source: '/app', type: 't', time: text },
      { identity: tenant, nowMs, times: publishedTimeBounds(400) },
    ),
  'the usage topic': (text) => {
    const event = { specversion: '1.0', id: 'e', source: '/app', type: 't', subject: 'acme', time: text };
    const value = Buffer.from(JSON.stringify(event));
    const record = { partition: 0, offset: 0, headers: {}, timestampMs: nowMs, value };
    return decode(record, nowMs, decodeBoundsDefault).kind !== 'dead';
  },
  'from of a meter': (text) => typeof meterQueryOf(meter, { from: text }, caller) !== 'string',
  'to of a meter': (text) =>
    typeof meterQueryOf(meter, { from: '2026-01-01T00:00:00Z', to: text }, caller) !== 'string',
  'starts_at of a boost': (text) =>
    addBoost(bare, { ...boost, starts_at: text, ends_at: ends }, policy, nowMs).ok,
  'ends_at of a boost': (text) =>
    addBoost(bare, { ...boost, ends_at: text }, policy, Date.UTC(2026, 0, 1)).ok,
  'until of a block': (text) => block(bare, { until: text, reason: 'x' }, 'kim', Date.UTC(2026, 0, 1)).ok,
  'the tenants topic': (text) =>
    violationsOfRecord({ ...bare, updated_at: text, updated_by: 'kim' }).length === 0,
};

describe.each(Object.entries(readers))('%s', (_, takes) => {
  test('takes RFC 3339 times', () => {
    for (const text of [
      '2026-11-20T10:00:00Z',
      '2026-11-20t10:00:00.5z',
      '2026-11-20T11:30:00.123456789+05:30',
      '2026-11-20T10:00:00-00:00',
    ]) {
      expect(takes(text), text).toBe(true);
    }
  });

  test.each(impossible)('refuses %j', (text) => {
    expect(takes(text)).toBe(false);
  });
});

test('a time reads as the instant it names, whatever its offset and digits', () => {
  const seed = Date.now() % 1_000_000;
  console.log(`instants: fast-check seed ${seed}`);
  const [min, max] = [Date.parse('0001-01-02T00:00:00Z'), Date.parse('9999-12-30T00:00:00Z')];
  fc.assert(
    fc.property(
      fc.integer({ min, max }),
      fc.integer({ min: -1439, max: 1439 }),
      fc.nat(12),
      (ms, offset, digits) => {
        const local = new Date(ms + offset * 60_000).toISOString();
        const fraction = digits === 0 ? '' : `.${local.slice(20, 23).padEnd(12, '9').slice(0, digits)}`;
        const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
        const size = Math.abs(offset);
        const zone = `${offset < 0 ? '-' : '+'}${two(size / 60)}:${two(size % 60)}`;
        const kept = digits === 0 ? 0 : 10 ** Math.max(0, 3 - digits);
        const expected = kept === 0 ? Math.floor(ms / 1000) * 1000 : Math.floor(ms / kept) * kept;
        expect(readInstant(`${local.slice(0, 19)}${fraction}${zone}`)).toBe(expected);
      },
    ),
    { seed, numRuns: 2_000 },
  );
});

test('a day is taken exactly when the calendar has it', () => {
  for (let year = 1896; year <= 2104; year += 1) {
    for (let month = 1; month <= 12; month += 1) {
      const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
      for (let day = 28; day <= 31; day += 1) {
        const text = `${year}-${String(month).padStart(2, '0')}-${day}T00:00:00Z`;
        expect(readInstant(text), text).toBe(day <= days ? Date.UTC(year, month - 1, day) : null);
      }
    }
  }
});

test('a leap second is the instant after it, and no other minute has 61 seconds', () => {
  const after = Date.UTC(2017, 0, 1);
  expect(readInstant('2016-12-31T23:59:60Z')).toBe(after);
  expect(readInstant('2017-01-01T00:59:60+01:00')).toBe(after);
  expect(readInstant('2016-12-30T23:59:60Z')).toBeNull();
  expect(readInstant('2016-12-31T22:59:60Z')).toBeNull();
  expect(readInstant('9999-12-31T23:59:59-23:59')).toBeNull();
});
