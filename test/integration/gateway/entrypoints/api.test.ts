import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { uniqueName } from '../../../support/servers.ts';
import { policy, service, useApi } from '../api.ts';
import { as, limitHeadersOf, startGateway } from '../gateway.ts';

const api = useApi();
const chat = { method: 'POST', path: '/agent/chat' };

describe('POST /v1/events', () => {
  const event = { specversion: '1.0', id: 'e1', source: '/app', type: 'tokens', data: { units: 5 } };
  const batch = 'application/cloudevents-batch+json';

  test('structured, binary and batch events get a result each, and accepted events are in the spool', async () => {
    const own = await as(api.tenant);
    expect(await api.call('POST', '/v1/events', own, event, 'application/cloudevents+json')).toMatchObject({
      status: 202,
      json: { accepted: 1, rejected: 0 },
    });
    const binary = {
      ...own,
      'ce-specversion': '1.0',
      'ce-id': 'e2',
      'ce-source': '/app',
      'ce-type': 'tokens',
    };
    expect(await api.call('POST', '/v1/events', binary, { units: 7 })).toMatchObject({
      status: 202,
      json: { accepted: 1 },
    });
    const mixed = [{ ...event, id: 'e3' }, { ...event, id: 'e4', subject: 'other' }, 5];
    const { status, json } = await api.call('POST', '/v1/events', own, mixed, batch);
    expect(status).toBe(202);
    expect(json).toMatchObject({
      accepted: 1,
      rejected: 2,
      results: [
        { id: 'e3', status: 'accepted' },
        { id: 'e4', status: 'rejected', reason: 'subject must be your own tenant' },
        { id: null, status: 'rejected' },
      ],
    });
    expect(api.gateway.events.map(({ id, subject }) => [id, subject])).toEqual([
      ['e1', api.tenant],
      ['e2', api.tenant],
      ['e3', api.tenant],
    ]);
  });

  test('a service publishes for any tenant', async () => {
    expect(
      await api.call(
        'POST',
        '/v1/events',
        service,
        { ...event, subject: api.tenant },
        'application/cloudevents+json',
      ),
    ).toMatchObject({ status: 202 });
  });

  test.each([
    ['nothing acceptable', [{ ...event, id: '' }], batch, 400],
    ['not JSON', '{"specversion"', 'application/cloudevents+json', 400],
    ['a batch that is no list', event, batch, 400],
    ['an empty batch', [], batch, 400],
    ['1,001 events', Array.from({ length: 1_001 }, (_, i) => ({ ...event, id: String(i) })), batch, 413],
    ['a body of 2 MB', [{ ...event, data: { text: 'x'.repeat(2_000_000) } }], batch, 413],
    ['plain JSON without ce- headers', event, 'application/json', 415],
    ['text', 'hello', 'text/plain', 415],
  ])('%s is refused with the limit headers', async (_what, body, type, status) => {
    const answer = await api.call('POST', '/v1/events', await as(api.tenant), body, type);
    expect(answer.status).toBe(status);
    expect(limitHeadersOf(answer.response)).toMatchObject({ limit: 100, remaining: 100 });
    expect(api.gateway.events).toHaveLength(0);
  });
});

describe('GET /v1/usage, /v1/limits', () => {
  test('usage has the limits of Redis, today of ClickHouse, and the time up to which today is complete', async () => {
    const own = await as(api.tenant);
    await api.check(own, chat);
    const { status, json } = await api.call('GET', '/v1/usage', own);
    expect(status).toBe(200);
    expect(json).toMatchObject({
      tenant_id: api.tenant,
      plan: 'free',
      limits: [
        { name: 'minute', limit: 100, remaining: 99 },
        { name: 'day', limit: 1000, remaining: 999 },
      ],
      today: { requests: 0, allowed: 0, limited: 0, units: 0, cost: 0, quantities: {}, reserved: {} },
      complete_through: null,
    });
  });

  test('a ClickHouse that does not respond is reported, never a zero', async () => {
    const blind = await startGateway({ policy, database: 'no_such_database' });
    const response = await fetch(`${blind.apiUrl}/v1/usage`, { headers: await as(api.tenant) });
    expect(await response.json()).toMatchObject({
      limits: [{ remaining: 100 }, {}],
      today: null,
      complete_through: null,
      today_unavailable: expect.stringContaining('ClickHouse') as unknown,
    });
    await blind.close();
  });

  test('a tenant is read by its API key and by a service that names it, and by no other caller', async () => {
    const key = `tgk_${api.tenant}`;
    api.gateway.records.set(api.tenant, {
      tenant_id: api.tenant,
      api_keys_sha256: [createHash('sha256').update(key).digest('hex')],
      updated_at: '',
      updated_by: '',
    });
    expect((await api.call('GET', '/v1/usage', { 'x-api-key': key })).json).toMatchObject({
      tenant_id: api.tenant,
    });
    expect((await api.call('GET', `/v1/usage?tenant_id=${api.tenant}`, service)).json).toMatchObject({
      tenant_id: api.tenant,
    });
    expect(await api.call('GET', '/v1/usage', service)).toMatchObject({ status: 400 });
    expect(await api.call('GET', '/v1/usage?tenant_id=other', await as(api.tenant))).toMatchObject({
      status: 403,
    });
    expect(await api.call('GET', '/v1/usage')).toMatchObject({ status: 401 });
  });

  test('limits are listed with routes, overrides and running boosts', async () => {
    const boost = {
      id: 'b',
      limit: 'minute',
      multiply: 2,
      starts_at: '2020-01-01T00:00:00Z',
      ends_at: '2100-01-01T00:00:00Z',
      reason: 'launch',
      actor: 'ops',
    };
    api.gateway.records.set(api.tenant, {
      tenant_id: api.tenant,
      overrides: { chat: 9 },
      boosts: [boost],
      updated_at: '',
      updated_by: '',
    });
    const { json } = await api.call('GET', '/v1/limits', await as(api.tenant));
    expect(json).toMatchObject({
      limits: [
        { name: 'minute', limit: 200 },
        { name: 'day', period: 'day' },
      ],
      routes: [{ match: 'POST /agent/chat', price: 0.5, limits: [{ name: 'chat', limit: 9 }] }],
      sessions: [{ kind: 'widget', limit: 2 }],
      boosts: [{ limit: 'minute', reason: 'launch' }],
    });
  });
});

describe('GET /v1/decisions/{id}', () => {
  test('a refused request is explained by its counters and rules, and no other tenant can read it', async () => {
    const own = await as(api.tenant);
    let id = '';
    for (let i = 0; i < 4; i += 1) id = String((await api.check(own, chat)).json['decision_id']);
    const { status, json } = await api.call('GET', `/v1/decisions/${id}`, own);
    expect(status).toBe(200);
    expect(json).toMatchObject({
      decision_id: id,
      outcome: 'limited',
      limited_by: ['chat'],
      explanation: expect.stringMatching(
        /^3 requests per 1 minute allowed for this user on POST \/agent\/chat/,
      ) as unknown,
      counters: {
        as_of: 'decision',
        limits: expect.arrayContaining([expect.objectContaining({ name: 'chat', remaining: 0 })]) as unknown,
      },
      rules: [{ name: 'chat', limit: 3, per: ['user'], route: 'POST /agent/chat' }],
    });
    expect(await api.call('GET', `/v1/decisions/${id}`, await as(uniqueName('other')))).toMatchObject({
      status: 404,
    });
    expect(await api.call('GET', '/v1/decisions/nonsense', own)).toMatchObject({ status: 404 });
  });
});

describe('A8: widget sessions', () => {
  test('the policy limits sessions open at once; DELETE ends one, PUT renews one, and none consumes a request limit', async () => {
    const own = await as(api.tenant);
    const open = (id?: string) =>
      api.call('POST', '/v1/sessions', own, id === undefined ? {} : { session_id: id });
    expect(await open('one')).toMatchObject({
      status: 201,
      json: { session_id: 'one', active: 1, limit: 2 },
    });
    expect(await open('one')).toMatchObject({ status: 201, json: { active: 1 } });
    expect((await open()).status).toBe(201);
    const refused = await open('three');
    expect(refused).toMatchObject({
      status: 429,
      json: { 'violated-policies': ['widget'], limit: 2, tenant_id: api.tenant },
    });
    expect(Number(refused.response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await api.call('PUT', '/v1/sessions/one', own)).toMatchObject({
      status: 200,
      json: { session_id: 'one' },
    });
    expect(await api.call('PUT', '/v1/sessions/three', own)).toMatchObject({ status: 404 });
    expect((await api.call('DELETE', '/v1/sessions/one', own)).status).toBe(204);
    expect((await open('three')).status).toBe(201);
    expect(limitHeadersOf((await api.call('GET', '/v1/limits', own)).response).remaining).toBe(100);
    expect(await api.call('POST', '/v1/sessions', own, { session_id: 'a/b' })).toMatchObject({ status: 400 });
  });
});

test('A5: unknown paths, unreadable paths and wrong methods carry the limit headers', async () => {
  for (const [method, path, status] of [
    ['GET', '/nowhere', 404],
    ['GET', '/%zz', 400],
    ['DELETE', '/v1/check', 404],
  ] as const) {
    const { status: got, response, json } = await api.call(method, path, await as(api.tenant));
    expect(got).toBe(status);
    expect(limitHeadersOf(response).limit).toBe(100);
    expect(json['status']).toBe(status);
  }
});

test('GET /asyncapi.json and GET /schemas/… describe the topics without a credential', async () => {
  const { json: document } = await api.call('GET', '/asyncapi.json');
  expect(document).toMatchObject({
    asyncapi: '3.0.0',
    channels: { usage: { address: 'tollgate.usage.v1' } },
  });
  const { status, json: schema } = await api.call('GET', '/schemas/alert.json');
  expect([status, schema['title']]).toEqual([200, 'Alert']);
  expect((await api.call('GET', '/schemas/constructor.json')).status).toBe(404);
});

test('GET /openapi.json describes every endpoint', async () => {
  const { json } = await api.call('GET', '/openapi.json');
  expect(json['openapi']).toMatch(/^3\./);
  expect(Object.keys(json['paths'] as object).sort()).toEqual([
    '/api/v1/events',
    '/v1/authz',
    '/v1/check',
    '/v1/decisions/{id}',
    '/v1/decisions/{id}/outcome',
    '/v1/events',
    '/v1/limits',
    '/v1/meters',
    '/v1/meters/{name}/query',
    '/v1/outcomes',
    '/v1/reservations/settle',
    '/v1/reservations/{id}/cancel',
    '/v1/reservations/{id}/extend',
    '/v1/reservations/{id}/settle',
    '/v1/sessions',
    '/v1/sessions/{id}',
    '/v1/usage',
  ]);
});
