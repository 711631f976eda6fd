import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { servers, uniqueName, uniqueNamespace } from '../../support/servers.ts';
import { as, limitHeadersOf, serviceToken, startGateway } from './gateway.ts';
import type { TestGateway } from './gateway.ts';

const policy = {
  plans: `
  free: { limits: [{ name: minute, per: tenant, limit: 100, window: 1m }, { name: day, per: tenant, limit: 1000, window: 1d, type: quota }] }
  pro: { limits: [{ name: minute, per: tenant, limit: 500, window: 1m }] }`,
  routes:
    '[{ match: POST /agent/chat, limits: [{ name: chat, per: user, limit: 3, window: 1m }], price: 0.5 }]',
  sessions: '{ widget: { per: tenant, limit: 2, ttl: 60s } }',
  services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
};

const service = { 'x-service-token': serviceToken };
const { database } = uniqueNamespace();
let gateway: TestGateway;
let tenant: string;

beforeAll(async () => {
  const clickhouse = createClickHouse({ url: servers().clickhouseUrl, database });
  await migrate(clickhouse);
  await clickhouse.close();
  gateway = await startGateway({ policy, database });
});

afterAll(async () => {
  await gateway.close();
  const clickhouse = createClickHouse({ url: servers().clickhouseUrl, database: 'default' });
  await clickhouse.command(`DROP DATABASE IF EXISTS ${database}`);
  await clickhouse.close();
});

beforeEach(() => {
  tenant = uniqueName('acme');
  gateway.events.length = 0;
});

async function call(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: unknown,
  type = 'application/json',
) {
  const response = await fetch(gateway.apiUrl + path, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': type }) },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    response,
    json: (text === '' ? null : JSON.parse(text)) as Record<string, unknown>,
  };
}

const chat = { method: 'POST', path: '/agent/chat' };
const check = (headers: Record<string, string>, body: unknown) => call('POST', '/v1/check', headers, body);

describe('POST /v1/check', () => {
  test('decides and consumes for whom it is told, with headers to send on', async () => {
    const answers = [];
    for (let i = 0; i < 4; i += 1)
      answers.push(await check(service, { tenant_id: tenant, user: 'u1', ...chat }));
    expect(answers.map(({ status, json }) => [status, json['allowed']])).toEqual([
      [200, true],
      [200, true],
      [200, true],
      [200, false],
    ]);
    const refused = answers[3]!.json;
    expect(refused).toMatchObject({
      outcome: 'limited',
      limited_by: ['chat'],
      retry_after_seconds: expect.any(Number) as unknown,
      problem: { status: 429, tenant_id: tenant, 'violated-policies': ['chat'] },
      headers: {
        'x-ratelimit-limit': '3',
        'x-ratelimit-remaining': '0',
        'retry-after': String(refused['retry_after_seconds']),
      },
    });
    expect(refused['limits']).toContainEqual(
      expect.objectContaining({ name: 'minute', limit: 100, remaining: 97, window_seconds: 60 }),
    );
    expect(gateway.requests().map(({ subject, data }) => [subject, data.status, data.door])).toEqual([
      ...Array<unknown>(3).fill([tenant, 200, 'check']),
      [tenant, 429, 'check'],
    ]);
  });

  test('a peek takes nothing and leaves no event', async () => {
    for (let i = 0; i < 5; i += 1)
      expect(
        (await check(service, { tenant_id: tenant, user: 'u', ...chat, peek: true })).json['allowed'],
      ).toBe(true);
    expect(gateway.events).toHaveLength(0);
  });

  test('D2 D5: without tenant and user the address is who is limited', async () => {
    const ip = `2001:db8:${Math.floor(Math.random() * 65_535).toString(16)}::1`;
    for (let i = 0; i < 3; i += 1) expect((await check(service, { ip, ...chat })).json['allowed']).toBe(true);
    expect((await check(service, { ip: ip.replace('::1', '::2'), ...chat })).json['allowed']).toBe(false);
  });

  test('the plan a service names counts where no record says otherwise', async () => {
    const peek = { tenant_id: tenant, plan: 'pro', method: 'GET', path: '/', peek: true };
    expect((await check(service, peek)).json['limits']).toMatchObject([{ limit: 500 }]);
    gateway.records.set(tenant, {
      tenant_id: tenant,
      plan: 'free',
      overrides: { minute: 7 },
      updated_at: '',
      updated_by: '',
    });
    expect((await check(service, peek)).json['limits']).toMatchObject([{ limit: 7 }, { limit: 1000 }]);
  });

  test.each([
    ['a cost of 0', { cost: 0 }, /cost must be >= 1/],
    ['a negative cost', { cost: -1 }, /cost must be >= 1/],
    ['a broken cost', { cost: 1.5 }, /cost must be integer/],
    ['a cost as text', { cost: '1' }, /cost must be integer/],
    ['a cost above all bounds', { cost: 1e12 }, /cost must be <= /],
    ['an unknown field', { tenant: 'x' }, /must not have "tenant"/],
    ['a method in small letters', { method: 'get' }, /method must match/],
    ['a path without a slash', { path: 'x' }, /path must match/],
    ['a tenant with a line break', { tenant_id: 'a\nb' }, /tenant_id holds control characters/],
    ['a tenant of 10 kB', { tenant_id: 'x'.repeat(10_000) }, /longer than 256/],
    ['an address that is none', { ip: '1.2.3' }, /ip is not an address/],
  ])('%s is a 400 with a clear text and the limit headers', async (_what, fields, detail) => {
    const { status, response, json } = await check(service, { tenant_id: tenant, ...chat, ...fields });
    expect(status).toBe(400);
    expect(json['detail']).toMatch(detail);
    expect(limitHeadersOf(response).limit).toBeGreaterThan(0);
  });

  test('NaN and other broken JSON are a 400; nobody named is a 400', async () => {
    expect(await call('POST', '/v1/check', service, '{"cost": NaN}')).toMatchObject({
      status: 400,
      json: { detail: expect.stringContaining('not valid JSON') as unknown },
    });
    expect(await check(service, chat)).toMatchObject({
      status: 400,
      json: { detail: expect.stringContaining('tenant_id, user or ip') as unknown },
    });
  });

  test('a cost above the limit is refused at once, without a Retry-After that never comes', async () => {
    const { json } = await check(service, { tenant_id: tenant, user: 'u', ...chat, cost: 4 });
    expect(json).toMatchObject({
      allowed: false,
      problem: {
        detail:
          'This call costs 4 units, more than the limit of 3 per 1 minute can ever allow; send less at once',
      },
    });
    expect(json).not.toHaveProperty('retry_after_seconds');
  });

  test('C2: a tenant speaks for itself only; without credentials nobody spends anything', async () => {
    const own = await as(tenant);
    expect((await check(own, chat)).json).toMatchObject({ allowed: true });
    expect(gateway.requests()[0]).toMatchObject({ subject: tenant, data: { user_id: 'u1' } });
    expect(await check(own, { tenant_id: 'other', ...chat })).toMatchObject({ status: 403 });
    expect(await check({}, { tenant_id: tenant, ...chat })).toMatchObject({ status: 401 });
    expect(await check({ 'x-service-token': 'guess' }, { tenant_id: tenant, ...chat })).toMatchObject({
      status: 401,
    });
  });
});

describe('GET /v1/authz', () => {
  const asked = { 'x-original-method': 'POST', 'x-original-uri': '/agent/chat?x=1' };

  test('E3: answers 200 with whom it is, then 429 with everything a client needs', async () => {
    const headers = { ...(await as(tenant)), ...asked };
    const first = await call('GET', '/v1/authz', headers);
    expect(first.status).toBe(200);
    expect(first.response.headers.get('x-tollgate-tenant')).toBe(tenant);
    expect(limitHeadersOf(first.response)).toMatchObject({ limit: 3, remaining: 2 });
    await call('GET', '/v1/authz', headers);
    await call('GET', '/v1/authz', headers);
    const refused = await call('GET', '/v1/authz', headers);
    expect(refused).toMatchObject({ status: 429, json: { 'violated-policies': ['chat'] } });
    expect(Number(refused.response.headers.get('retry-after'))).toBeGreaterThan(0);
    const forNginx = await call('GET', '/v1/authz?refuse=403', headers);
    expect(forNginx.status).toBe(403);
    expect(forNginx.response.headers.get('x-tollgate-status')).toBe('429');
    expect(JSON.parse(forNginx.response.headers.get('x-tollgate-problem') ?? '')).toMatchObject({
      status: 429,
      tenant_id: tenant,
    });
    expect(gateway.requests().at(-1)?.data).toMatchObject({
      door: 'authz',
      path: '/agent/chat',
      method: 'POST',
    });
  });

  test('forward-auth names the request by X-Forwarded-Method and -Uri, and the client by X-Forwarded-For', async () => {
    const headers = {
      'x-forwarded-method': 'POST',
      'x-forwarded-uri': '/agent/chat',
      'x-forwarded-for': '203.0.113.77',
    };
    expect((await call('GET', '/v1/authz', headers)).status).toBe(200);
    expect(gateway.requests()[0]?.data).toMatchObject({
      client_ip: '203.0.113.77',
      route: 'POST /agent/chat',
    });
  });

  test('a bad token is a 401, a request nobody described a 400', async () => {
    expect(await call('GET', '/v1/authz', { ...asked, authorization: 'Bearer x' })).toMatchObject({
      status: 401,
    });
    expect(await call('GET', '/v1/authz', await as(tenant))).toMatchObject({ status: 400 });
  });
});

describe('POST /v1/events', () => {
  const event = { specversion: '1.0', id: 'e1', source: '/app', type: 'tokens', data: { units: 5 } };
  const batch = 'application/cloudevents-batch+json';

  test('structured, binary and batch; a result for each event; what is accepted is in the spool', async () => {
    const own = await as(tenant);
    expect(await call('POST', '/v1/events', own, event, 'application/cloudevents+json')).toMatchObject({
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
    expect(await call('POST', '/v1/events', binary, { units: 7 })).toMatchObject({
      status: 202,
      json: { accepted: 1 },
    });
    const mixed = [{ ...event, id: 'e3' }, { ...event, id: 'e4', subject: 'other' }, 5];
    const { status, json } = await call('POST', '/v1/events', own, mixed, batch);
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
    expect(gateway.events.map(({ id, subject }) => [id, subject])).toEqual([
      ['e1', tenant],
      ['e2', tenant],
      ['e3', tenant],
    ]);
  });

  test('a service publishes for any tenant', async () => {
    expect(
      await call(
        'POST',
        '/v1/events',
        service,
        { ...event, subject: tenant },
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
    const answer = await call('POST', '/v1/events', await as(tenant), body, type);
    expect(answer.status).toBe(status);
    expect(limitHeadersOf(answer.response)).toMatchObject({ limit: 100, remaining: 100 });
    expect(gateway.events).toHaveLength(0);
  });
});

describe('GET /v1/usage, /v1/limits', () => {
  test('limits as Redis has them, today as ClickHouse has it, and up to when that is complete', async () => {
    const own = await as(tenant);
    await check(own, chat);
    const { status, json } = await call('GET', '/v1/usage', own);
    expect(status).toBe(200);
    expect(json).toMatchObject({
      tenant_id: tenant,
      plan: 'free',
      limits: [
        { name: 'minute', limit: 100, remaining: 99 },
        { name: 'day', limit: 1000, remaining: 999 },
      ],
      today: { requests: 0, allowed: 0, limited: 0, units: 0, cost: 0 },
      complete_through: null,
    });
  });

  test('a ClickHouse that does not answer is said, never a zero', async () => {
    const blind = await startGateway({ policy, database: 'no_such_database' });
    const response = await fetch(`${blind.apiUrl}/v1/usage`, { headers: await as(tenant) });
    expect(await response.json()).toMatchObject({
      limits: [{ remaining: 100 }, {}],
      today: null,
      complete_through: null,
      today_unavailable: expect.stringContaining('ClickHouse') as unknown,
    });
    await blind.close();
  });

  test('by API key; by a service for a tenant it names; by nobody else', async () => {
    const key = `tgk_${tenant}`;
    gateway.records.set(tenant, {
      tenant_id: tenant,
      api_keys_sha256: [createHash('sha256').update(key).digest('hex')],
      updated_at: '',
      updated_by: '',
    });
    expect((await call('GET', '/v1/usage', { 'x-api-key': key })).json).toMatchObject({ tenant_id: tenant });
    expect((await call('GET', `/v1/usage?tenant_id=${tenant}`, service)).json).toMatchObject({
      tenant_id: tenant,
    });
    expect(await call('GET', '/v1/usage', service)).toMatchObject({ status: 400 });
    expect(await call('GET', '/v1/usage?tenant_id=other', await as(tenant))).toMatchObject({ status: 403 });
    expect(await call('GET', '/v1/usage')).toMatchObject({ status: 401 });
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
    gateway.records.set(tenant, {
      tenant_id: tenant,
      overrides: { chat: 9 },
      boosts: [boost],
      updated_at: '',
      updated_by: '',
    });
    const { json } = await call('GET', '/v1/limits', await as(tenant));
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
  test('a refusal leads to its counters and rules; another tenant does not find it', async () => {
    const own = await as(tenant);
    let id = '';
    for (let i = 0; i < 4; i += 1) id = String((await check(own, chat)).json['decision_id']);
    const { status, json } = await call('GET', `/v1/decisions/${id}`, own);
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
    expect(await call('GET', `/v1/decisions/${id}`, await as(uniqueName('other')))).toMatchObject({
      status: 404,
    });
    expect(await call('GET', '/v1/decisions/nonsense', own)).toMatchObject({ status: 404 });
  });
});

describe('A8: widget sessions', () => {
  test('as many as the policy says at once, freed by DELETE, renewed by PUT, apart from request limits', async () => {
    const own = await as(tenant);
    const open = (id?: string) =>
      call('POST', '/v1/sessions', own, id === undefined ? {} : { session_id: id });
    expect(await open('one')).toMatchObject({
      status: 201,
      json: { session_id: 'one', active: 1, limit: 2 },
    });
    expect(await open('one')).toMatchObject({ status: 201, json: { active: 1 } });
    expect((await open()).status).toBe(201);
    const refused = await open('three');
    expect(refused).toMatchObject({
      status: 429,
      json: { 'violated-policies': ['widget'], limit: 2, tenant_id: tenant },
    });
    expect(Number(refused.response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await call('PUT', '/v1/sessions/one', own)).toMatchObject({
      status: 200,
      json: { session_id: 'one' },
    });
    expect(await call('PUT', '/v1/sessions/three', own)).toMatchObject({ status: 404 });
    expect((await call('DELETE', '/v1/sessions/one', own)).status).toBe(204);
    expect((await open('three')).status).toBe(201);
    expect(limitHeadersOf((await call('GET', '/v1/limits', own)).response).remaining).toBe(100);
    expect(await call('POST', '/v1/sessions', own, { session_id: 'a/b' })).toMatchObject({ status: 400 });
  });
});

test('A5: unknown paths, unreadable paths and wrong methods carry the limit headers', async () => {
  for (const [method, path, status] of [
    ['GET', '/nowhere', 404],
    ['GET', '/%zz', 400],
    ['DELETE', '/v1/check', 404],
  ] as const) {
    const { status: got, response, json } = await call(method, path, await as(tenant));
    expect(got).toBe(status);
    expect(limitHeadersOf(response).limit).toBe(100);
    expect(json['status']).toBe(status);
  }
});

test('GET /openapi.json describes every endpoint', async () => {
  const { json } = await call('GET', '/openapi.json');
  expect(json['openapi']).toMatch(/^3\./);
  expect(Object.keys(json['paths'] as object).sort()).toEqual([
    '/v1/authz',
    '/v1/check',
    '/v1/decisions/{id}',
    '/v1/events',
    '/v1/limits',
    '/v1/sessions',
    '/v1/sessions/{id}',
    '/v1/usage',
  ]);
});
