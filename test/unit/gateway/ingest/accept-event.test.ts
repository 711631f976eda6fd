// Goal: an invalid event is rejected with the reason when it is published, and not by the aggregator later.
import { describe, expect, test } from 'vitest';
import { acceptEvent } from '../../../../services/gateway/ingest/accept-event.ts';
import type { Publisher } from '../../../../services/gateway/ingest/accept-event.ts';
import { publishedTimeBounds } from '../../../../shared/domain/events/bounds.ts';
import type { Json } from '../../../../shared/domain/events/fields.ts';

const nowMs = Date.parse('2026-11-21T12:00:00Z');
const times = publishedTimeBounds(400);
const caller = {
  tenantId: 'acme',
  userId: null,
  planClaim: null,
  ip: '',
  service: null,
  method: 'api_key',
} as const;
const tenant: Publisher = { identity: caller, nowMs, times };
const user: Publisher = { ...tenant, identity: { ...caller, userId: 'u1', method: 'jwt' } };
const service: Publisher = {
  ...tenant,
  identity: { ...caller, tenantId: null, service: 'billing', method: 'service' },
};
const good = { specversion: '1.0', id: 'e1', source: '/app', type: 'tokens', data: { units: 5 } };

function violationOf(fields: Json, publisher = tenant): string | undefined {
  const accepted = acceptEvent(fields, publisher);
  return 'violation' in accepted ? accepted.violation : undefined;
}

test("a tenant's event without subject and time gets the tenant and the current time", () => {
  expect(acceptEvent(good, tenant)).toEqual({
    event: {
      ...good,
      time: '2026-11-21T12:00:00.000Z',
      subject: 'acme',
      datacontenttype: 'application/json',
    },
  });
});

test('extension attributes are published as they were sent', () => {
  const extended = { ...good, traceparent: '00-ab', sampled: true, dataschema: 'https://example.com/schema' };
  expect(acceptEvent(extended, tenant)).toMatchObject({ event: extended });
});

test('data_base64 is published as the JSON object that it encodes', () => {
  const encoded = Buffer.from('{"units":7,"model":"größer"}').toString('base64');
  const event = { ...good, data: undefined, data_base64: encoded };
  expect(acceptEvent(event, tenant)).toMatchObject({ event: { data: { units: 7, model: 'größer' } } });
});

const data = (fields: object) => ({ ...good, data: fields });
const base64 = (text: string | Buffer) => ({
  ...good,
  data: undefined,
  data_base64: Buffer.from(text).toString('base64'),
});

const rejected: readonly (readonly [string, Json, RegExp])[] = [
  ['a sample weight, which only gateways set', data({ sample_weight: 1000 }), /sample_weight is reserved/],
  ['an old specversion', { ...good, specversion: '0.3' }, /^specversion must be/],
  ['no id', { ...good, id: undefined }, /^id is missing/],
  ['an empty id', { ...good, id: '' }, /^id must be/],
  ['an id of 300 characters', { ...good, id: 'x'.repeat(300) }, /^id is longer/],
  ['an unpaired surrogate in an id', { ...good, id: 'a\ud800' }, /^id is not well-formed/],
  ['no source', { ...good, source: '' }, /^source must be/],
  ['no type', { ...good, type: 5 }, /^type must be/],
  ['another tenant', { ...good, subject: 'other' }, /your own tenant/],
  ['an event type of gateways', { ...good, type: 'tollgate.request.v1' }, /reserved/],
  [
    'a correction by a tenant',
    { ...good, type: 'tollgate.void.v1', data: { event_id: 'x' } },
    /only a service/,
  ],
  ['a reserved source', { ...good, source: 'tollgate/node' }, /reserved/],
  ['a sequence number of a spool', { ...good, spool: 'a.b.c.d', spoolsequence: 7 }, /reserved/],
  ['negative units', data({ units: -1 }), /data\.units must be a number from 0/],
  ['units that are text', data({ units: '5' }), /data\.units must be/],
  [
    'units whose sum is not finite',
    data({ units: 1.7e308 }),
    /data\.units must be a number from 0 to 1000000000000/,
  ],
  [
    'a cost whose sum is not finite',
    data({ cost: 1e10 }),
    /data\.cost must be a number from 0 to 1000000000/,
  ],
  ['a user that is a number', data({ user_id: 42 }), /data\.user_id must be a text/],
  ['a plan that is a number', data({ plan: 3 }), /data\.plan must be a text/],
  ['a route of 600 characters', data({ route: 'r'.repeat(600) }), /data\.route is longer than 512/],
  ['a property of 5,000 characters', data({ note: 'x'.repeat(5_000) }), /data\.note is longer than 4096/],
  ['an object of 5,000 characters', data({ note: ['x'.repeat(5_000)] }), /data\.note is longer than 4096/],
  ['65 properties', data(Object.fromEntries(numbered(65))), /more than 64 properties/],
  ['33 extensions', { ...good, ...Object.fromEntries(numbered(33)) }, /more than 32 extension/],
  ['a property with a name of 129', data({ ['n'.repeat(129)]: 1 }), /name of a property of data is longer/],
  ['an unpaired surrogate in a property', data({ note: '\udc00' }), /data\.note is not well-formed/],
  [
    'an unpaired surrogate in a nested value',
    data({ note: [{ a: '\udc00' }] }),
    /data\.note is not well-formed/,
  ],
  ['an unpaired surrogate in a name', data({ 'a\ud800': 1 }), /not well-formed/],
  ['an unpaired surrogate in an extension', { ...good, trace: '\ud800' }, /^trace is not well-formed/],
  ['a number that a sum cannot hold', data({ tokens: 1e300 }), /data\.tokens must be a number within/],
  [
    'a number beyond a double',
    JSON.parse('{"specversion":"1.0","id":"1","source":"a","type":"b","data":{"a":{"b":1e999}}}') as Json,
    /data\.a has a number that is too large/,
  ],
  ['a property nested too deep', data({ deep: nested(40) }), /nested deeper than 32/],
  ['an extension nested too deep', { ...good, deep: nested(20_000) }, /nested deeper than 32/],
  [
    'a property with the name of an extension',
    { ...good, trace: 'a', data: { ce_trace: 'b' } },
    /data\.ce_trace has the name/,
  ],
  ['data that is a list', { ...good, data: [] }, /^data must be a JSON object/],
  ['data that is a text', { ...good, data: '{}' }, /^data must be a JSON object/],
  ['both data and data_base64', { ...base64('{}'), data: {} }, /not both/],
  ['base64 of text that is not JSON', base64('{'), /data_base64 must hold/],
  ['base64 of a list', base64('[]'), /data_base64 must be a JSON object/],
  [
    'base64 of an object with a repeated name',
    base64('{"units":1,"units":2}'),
    /has the member "units" twice/,
  ],
  ['base64 of bytes that are not UTF-8', base64(Buffer.from([0x22, 0xff, 0x22])), /data_base64 must hold/],
  ['data_base64 that is not base64', { ...good, data: undefined, data_base64: 'e30' }, /RFC 4648/],
  ['base64 of an image', { ...base64('{}'), datacontenttype: 'image/png' }, /datacontenttype/],
  [
    'data larger than an event may be',
    data(Object.fromEntries(numbered(64).map(([name]) => [name, '\u0001'.repeat(3_000)]))),
    /bytes, more than 131072/,
  ],
  ['a time that is not a timestamp', { ...good, time: 'yesterday' }, /RFC 3339/],
  ['a day that does not exist', { ...good, time: '2026-02-30T00:00:00Z' }, /RFC 3339/],
  ['1970', { ...good, time: '1970-01-01T00:00:00Z' }, /365 days ago/],
  ['2100', { ...good, time: '2100-01-01T00:00:00Z' }, /10 minutes in the future/],
];

describe('an invalid event is rejected with the reason', () => {
  test.each(rejected)('%s', (_what, fields, expected) => {
    expect(violationOf(fields)).toMatch(expected);
  });

  test('a service must name the tenant, and may correct events', () => {
    const correction = { ...good, subject: 'acme', type: 'tollgate.void.v1', data: { event_id: 'x' } };
    expect(violationOf(good, service)).toMatch(/must name the tenant/);
    expect(violationOf({ ...good, subject: 'a\nb' }, service)).toMatch(/control characters/);
    expect(violationOf(correction, service)).toBeUndefined();
    expect(violationOf({ ...correction, data: {} }, service)).toMatch(/data\.event_id is missing/);
    const amend = { ...correction, type: 'tollgate.amend.v1' };
    expect(violationOf({ ...amend, data: { event_id: 'x', units: 1e13 } }, service)).toMatch(/data\.units/);
    const properties = { a: { b: 1 } };
    expect(violationOf({ ...amend, data: { event_id: 'x', properties } }, service)).toMatch(
      /data\.properties\.a/,
    );
    const unread = { ...amend, data: { event_id: 'x', deep: nested(20_000) } };
    expect(acceptEvent(unread, service)).toMatchObject({
      event: { data: { event_id: 'x', properties: {} } },
    });
  });
});

test("a user's token publishes the usage of that user only, a tenant and a service that of any user", () => {
  const of = (name: unknown) => data({ user_id: name });
  expect([violationOf(of('u1'), user), violationOf(of(null), user), violationOf(good, user)]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(violationOf(of('u2'), user)).toBe('data.user_id must be your own user');
  expect([violationOf(of('u2')), violationOf({ ...of('u2'), subject: 'other' }, service)]).toEqual([
    undefined,
    undefined,
  ]);
});

test('the tenant of heartbeats is reserved, and a service may publish for the anonymous tenant', () => {
  expect(violationOf({ ...good, subject: 'tollgate-heartbeat' }, service)).toMatch(/reserved/);
  expect(violationOf({ ...good, subject: 'anonymous' }, service)).toBeUndefined();
});

test('the oldest time that is accepted is newer than the oldest time that the aggregator counts', () => {
  const at = (ageMs: number, days: number) =>
    violationOf(
      { ...good, time: new Date(nowMs - ageMs).toISOString() },
      { ...tenant, times: publishedTimeBounds(days) },
    );
  const day = 86_400_000;
  expect(at(365 * day, 400)).toBeUndefined();
  expect(at(365 * day + 1, 400)).toMatch(/365 days ago/);
  expect(at(21 * day, 30)).toBeUndefined();
  expect(at(21 * day + 1, 30)).toMatch(/21 days ago/);
  expect(at(day / 2, 2)).toBeUndefined();
  expect(at(day / 2 + 1, 2)).toMatch(/12 hours ago/);
});

function numbered(count: number): [string, number][] {
  return Array.from({ length: count }, (_, index) => [`p${index}`, index]);
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}
