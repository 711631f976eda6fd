import { describe, expect, test } from 'vitest';
import { readEvent, structured } from '../../../services/gateway/cloud-event.ts';

const nowMs = Date.parse('2026-11-21T12:00:00Z');
const tenant = { tenantId: 'acme', service: false, nowMs };
const service = { tenantId: null, service: true, nowMs };
const good = { specversion: '1.0', id: 'e1', source: '/app', type: 'tokens', data: { units: 5 } };

const problemOf = (
  fields: object,
  publisher: typeof tenant | typeof service = tenant,
): string | undefined => {
  const read = readEvent(fields, publisher);
  return 'problem' in read ? read.problem : undefined;
};

test("a tenant's event is filled in: its own tenant, now", () => {
  expect(readEvent(good, tenant)).toEqual({
    event: {
      ...good,
      time: '2026-11-21T12:00:00.000Z',
      subject: 'acme',
      datacontenttype: 'application/json',
    },
  });
});

test('binary form is read from its headers, percent-escapes decoded', () => {
  const headers = {
    'ce-specversion': '1.0',
    'ce-id': 'a%20b',
    'ce-source': '/app',
    'ce-type': 'tokens',
    'ce-time': '2026-11-21T11:59:00Z',
  };
  expect(readEvent(structured(headers, { units: 2 }), tenant)).toMatchObject({
    event: { id: 'a b', time: '2026-11-21T11:59:00.000Z', data: { units: 2 } },
  });
});

describe('what may not be published is refused with the reason', () => {
  test.each([
    ['no object', null, /not a JSON object/],
    ['an old specversion', { ...good, specversion: '0.3' }, /specversion/],
    ['no id', { ...good, id: undefined }, /^id must be/],
    ['an id of 300 characters', { ...good, id: 'x'.repeat(300) }, /^id is longer/],
    ['no source', { ...good, source: '' }, /^source must be/],
    ['no type', { ...good, type: 5 }, /^type must be/],
    ['another tenant', { ...good, subject: 'other' }, /your own tenant/],
    ['a request nobody made', { ...good, type: 'tollgate.request.v1' }, /reserved/],
    ['a correction by a tenant', { ...good, type: 'tollgate.void.v1' }, /only a service/],
    ["a source of Tollgate's own", { ...good, source: 'tollgate/node' }, /reserved/],
    ['negative units', { ...good, data: { units: -1 } }, /data\.units/],
    ['units that are text', { ...good, data: { units: '5' } }, /data\.units/],
    ['data that is a list', { ...good, data: [] }, /data must be/],
    ['binary data', { ...good, data: undefined, data_base64: 'AA==' }, /data_base64/],
    ['giant data', { ...good, data: { text: 'x'.repeat(70_000) } }, /longer than/],
    ['a time that is none', { ...good, time: 'yesterday' }, /RFC 3339/],
    ['1970', { ...good, time: '1970-01-01T00:00:00Z' }, /365 days ago/],
    ['2100', { ...good, time: '2100-01-01T00:00:00Z' }, /in the future/],
  ])('%s', (_what, fields, expected) => {
    expect(problemOf(fields as object)).toMatch(expected);
  });

  test('a service names the tenant, and may correct', () => {
    expect(problemOf(good, service)).toMatch(/must name the tenant/);
    expect(problemOf({ ...good, subject: 'a\nb' }, service)).toMatch(/control characters/);
    expect(
      problemOf({ ...good, subject: 'acme', type: 'tollgate.void.v1', data: { event_id: 'x' } }, service),
    ).toBeUndefined();
  });
});
