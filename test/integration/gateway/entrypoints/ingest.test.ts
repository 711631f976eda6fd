// Goal: POST /v1/events accepts CloudEvents in each encoding, refuses violations of the contract, and never responds
// with a 5xx.
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { service, useApi } from '../api.ts';
import { as, limitHeadersOf } from '../gateway.ts';

const api = useApi();
const event = { specversion: '1.0', id: 'e1', source: '/app', type: 'tokens', data: { units: 5 } };
const single = 'application/cloudevents+json';
const batch = 'application/cloudevents-batch+json';

async function post(body: Buffer | string, headers: Record<string, string>, path = '/v1/events') {
  const response = await fetch(api.gateway.apiUrl + path, {
    method: 'POST',
    headers: { ...(await as(api.tenant)), ...headers },
    body: Buffer.from(body),
  });
  const text = await response.text();
  return { status: response.status, response, json: JSON.parse(text === '' ? 'null' : text) as Json };
}

type Json = Record<string, unknown>;

test.each([
  ['gzip', gzipSync],
  ['x-gzip', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
  ['zstd', zstdCompressSync],
  ['Identity', (bytes: Buffer) => bytes],
] as const)('a body in %s is read', async (coding, compress) => {
  const body = compress(Buffer.from(JSON.stringify([event, { ...event, id: 'e2' }])));
  const { status, json } = await post(body, { 'content-type': batch, 'content-encoding': coding });
  expect([status, json['accepted']]).toEqual([202, 2]);
  expect(api.gateway.events.map(({ id }) => id)).toEqual(['e1', 'e2']);
});

test.each([
  ['a coding that is not known', 'compress', Buffer.from('x'), 415],
  ['two codings', 'gzip, gzip', gzipSync(gzipSync('{}')), 415],
  ['what is not gzip', 'gzip', Buffer.from(JSON.stringify(event)), 400],
  ['gzip that is cut off', 'gzip', gzipSync(JSON.stringify(event)).subarray(0, 40), 400],
  ['a small body that is 200 MB decoded', 'gzip', gzipSync(Buffer.alloc(200_000_000, 0x20)), 413],
  ['the same in zstd', 'zstd', zstdCompressSync(Buffer.alloc(200_000_000, 0x20)), 413],
])('%s is refused', async (_what, coding, body, expected) => {
  const { status, response, json } = await post(body, { 'content-type': single, 'content-encoding': coding });
  expect([status, json['status'], typeof json['detail']]).toEqual([expected, expected, 'string']);
  expect(response.headers.get('accept-encoding')).toBe(expected === 415 ? 'gzip, deflate, br, zstd' : null);
  expect(limitHeadersOf(response).limit).toBe(100);
});

describe('nested JSON', () => {
  const deep = '['.repeat(20_000) + ']'.repeat(20_000);
  test.each([
    [
      'an event',
      '/v1/events',
      single,
      `{"specversion":"1.0","id":"1","source":"/a","type":"t","data":{"a":${deep}}}`,
    ],
    ['a batch', '/v1/events', batch, `[${deep}]`],
    ['a check', '/v1/check', 'application/json', `{"method":"GET","path":"/","tenant_id":${deep}}`],
    ['a check with more', '/v1/check', 'application/json', deep],
    ['a session', '/v1/sessions', 'application/json', `{"session_id":${deep}}`],
  ])('20,000 levels in %s are a 400', async (_what, path, type, body) => {
    const { status, json } = await post(body, { 'content-type': type }, path);
    expect(status).toBe(400);
    expect(JSON.stringify(json)).toMatch(/nested deeper than 32 levels/);
  });
});

test('a JSON body is read in each content coding, and in UTF-8 only, at every endpoint', async () => {
  const check = Buffer.from(JSON.stringify({ method: 'POST', path: '/agent/chat' }));
  const type = { 'content-type': 'application/json' };
  expect(await post(gzipSync(check), { ...type, 'content-encoding': 'gzip' }, '/v1/check')).toMatchObject({
    status: 200,
    json: { allowed: true },
  });
  const bomb = gzipSync(Buffer.alloc(50_000_000, 0x20));
  expect(await post(bomb, { ...type, 'content-encoding': 'gzip' }, '/v1/check')).toMatchObject({
    status: 413,
  });
  check[check.indexOf('chat')] = 0xff;
  expect(await post(check, type, '/v1/check')).toMatchObject({
    status: 400,
    json: { detail: 'The body is not UTF-8.' },
  });
});

test('the other events of a batch are accepted beside an invalid one, which the response names', async () => {
  const large = {
    ...event,
    id: 'large',
    data: Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`p${i}`, 'é'.repeat(2_000)])),
  };
  const members = [
    JSON.stringify({ ...event, id: 'first' }),
    '{"id": "not JSON", "data": {"units": NaN}}',
    '{"specversion":"1.0","id":"\\ud800","source":"/app","type":"tokens"}',
    JSON.stringify(large),
    JSON.stringify({ ...event, id: 'first', data: { units: 900 } }),
    '{"specversion":"1.0","id":"bytes","source":"/app","type":"tokens","data":{"user_id":"?"}}',
    JSON.stringify({ ...event, id: 'last' }),
  ];
  const body = Buffer.from(`[${members.join(',')}]`);
  body[body.lastIndexOf('?')] = 0xff;
  const { status, json } = await post(body, { 'content-type': batch });
  expect(status).toBe(202);
  expect(json).toMatchObject({
    accepted: 2,
    duplicates: 1,
    rejected: 4,
    results: [
      { id: 'first', status: 'accepted' },
      { id: null, status: 'rejected', reason: 'the event is not JSON' },
      { id: '\ufffd', status: 'rejected', reason: 'id is not well-formed Unicode' },
      {
        id: 'large',
        status: 'rejected',
        reason: expect.stringMatching(/bytes, more than 131072/) as unknown,
      },
      { id: 'first', status: 'duplicate' },
      { id: null, status: 'rejected', reason: 'the event is not UTF-8' },
      { id: 'last', status: 'accepted' },
    ],
  });
  expect(api.gateway.events.map(({ id }) => id)).toEqual(['first', 'last']);
});

test('routes that contain ids are rejected beyond 1,000 a day, and the other events of the batch are accepted', async () => {
  const routes = (count: number, first = 0) =>
    Array.from({ length: count }, (_, n) => ({
      ...event,
      id: `r${first + n}`,
      data: { route: `/u/${first + n}` },
    }));
  expect((await post(JSON.stringify(routes(1_000)), { 'content-type': batch })).json).toMatchObject({
    accepted: 1_000,
  });
  const more = [...routes(2, 1_000), { ...event, id: 'known', data: { route: '/u/7' } }];
  const reason = expect.stringMatching(/leave ids out of data\.route/) as unknown;
  expect(await post(JSON.stringify(more), { 'content-type': batch })).toMatchObject({
    status: 202,
    json: {
      accepted: 1,
      rejected: 2,
      results: [
        { id: 'r1000', status: 'rejected', reason },
        { id: 'r1001', status: 'rejected', reason },
        { id: 'known', status: 'accepted' },
      ],
    },
  });
  expect(api.gateway.events).toHaveLength(1_001);
  const sdk = await post(JSON.stringify(more), { 'content-type': batch }, '/api/v1/events');
  expect(sdk).toMatchObject({ status: 400, json: { events: [{ index: 0 }, { index: 1 }] } });
});

test('binary events need neither a Content-Type nor a body', async () => {
  const attributes = {
    'ce-specversion': '1.0',
    'ce-id': '"order 7"',
    'ce-source': '/app',
    'ce-type': 'tokens',
  };
  expect((await post(JSON.stringify({ units: 2 }), attributes)).json).toMatchObject({
    accepted: 1,
    results: [{ id: 'order 7' }],
  });
  const vendor = { ...attributes, 'ce-id': 'e2', 'content-type': 'application/vnd.acme.usage+json' };
  expect((await post(JSON.stringify({ units: 3 }), vendor)).json).toMatchObject({ accepted: 1 });
  const empty = await api.call('POST', '/v1/events', {
    ...(await as(api.tenant)),
    ...attributes,
    'ce-id': 'e3',
  });
  expect(empty).toMatchObject({ status: 202, json: { accepted: 1 } });
  expect(api.gateway.events.map(({ data }) => data)).toEqual([{ units: 2 }, { units: 3 }, {}]);
});

test('extensions of structured and binary events are published', async () => {
  const extended = { ...event, traceparent: '00-ab', sampled: true };
  await post(JSON.stringify(extended), { 'content-type': single });
  const attributes = { 'ce-specversion': '1.0', 'ce-id': 'e2', 'ce-source': '/app', 'ce-type': 'tokens' };
  await post('{}', { ...attributes, 'ce-traceparent': '00-cd' });
  expect(api.gateway.events).toMatchObject([
    { traceparent: '00-ab', sampled: true },
    { id: 'e2', traceparent: '00-cd' },
  ]);
});

describe('POST /api/v1/events, for the SDKs of OpenMeter', () => {
  const path = '/api/v1/events';
  test('204 without a body for one event and for many', async () => {
    for (const [body, type] of [
      [event, single],
      [[event, { ...event, id: 'e2' }], batch],
      [{ ...event, id: 'e3' }, 'application/json'],
      [[{ ...event, id: 'e4' }], 'application/json; charset=utf-8'],
    ] as const) {
      const { status, response, json } = await post(JSON.stringify(body), { 'content-type': type }, path);
      expect([status, json]).toEqual([204, null]);
      expect(limitHeadersOf(response).limit).toBe(100);
    }
    expect(api.gateway.events.map(({ id }) => id)).toEqual(['e1', 'e1', 'e2', 'e3', 'e4']);
  });

  test('a batch is accepted completely or not at all, and the problem names the invalid events', async () => {
    const events = [event, { ...event, id: 'e2', data: { units: -1 } }, 5];
    const { status, response, json } = await post(JSON.stringify(events), { 'content-type': batch }, path);
    expect(status).toBe(400);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(json).toMatchObject({
      title: 'Bad request',
      status: 400,
      detail: expect.stringMatching(/^Event 1 of 3: data\.units must be/) as unknown,
      events: [
        { index: 1, id: 'e2' },
        { index: 2, id: null },
      ],
    });
    expect(api.gateway.events).toHaveLength(0);
  });

  test('a service publishes for the tenant that is the subject', async () => {
    const response = await fetch(api.gateway.apiUrl + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${service['x-service-token']}`, 'content-type': single },
      body: JSON.stringify({ ...event, subject: 'customer-1' }),
    });
    expect(response.status).toBe(204);
    expect(api.gateway.events).toMatchObject([{ subject: 'customer-1' }]);
  });
});
