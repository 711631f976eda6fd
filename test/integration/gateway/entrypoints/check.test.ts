import { randomInt } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { service, useApi } from '../api.ts';
import { as, limitHeadersOf } from '../gateway.ts';

const api = useApi();
const chat = { method: 'POST', path: '/agent/chat' };

describe('POST /v1/check', () => {
  test('a check decides about the named caller and consumes its units, and responds with headers to forward', async () => {
    const answers = [];
    for (let i = 0; i < 4; i += 1)
      answers.push(await api.check(service, { tenant_id: api.tenant, user: 'u1', ...chat }));
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
      problem: { status: 429, tenant_id: api.tenant, 'violated-policies': ['chat'] },
      headers: {
        'x-ratelimit-limit': '3',
        'x-ratelimit-remaining': '0',
        'retry-after': String(refused['retry_after_seconds']),
      },
    });
    expect(refused['limits']).toContainEqual(
      expect.objectContaining({ name: 'minute', limit: 100, remaining: 97, window_seconds: 60 }),
    );
    expect(
      api.gateway.requests().map(({ subject, data }) => [subject, data.status, data.entrypoint]),
    ).toEqual([...Array<unknown>(3).fill([api.tenant, 200, 'check']), [api.tenant, 429, 'check']]);
  });

  test('a peek consumes nothing and writes no event', async () => {
    for (let i = 0; i < 5; i += 1)
      expect(
        (await api.check(service, { tenant_id: api.tenant, user: 'u', ...chat, peek: true })).json['allowed'],
      ).toBe(true);
    expect(api.gateway.events).toHaveLength(0);
  });

  test('D2 D5: without tenant and user the address is limited', async () => {
    const ip = `2001:db8:${randomInt(0x1000, 0xffff).toString(16)}::1`;
    for (let i = 0; i < 3; i += 1)
      expect((await api.check(service, { ip, ...chat })).json['allowed']).toBe(true);
    expect((await api.check(service, { ip: ip.replace('::1', '::2'), ...chat })).json['allowed']).toBe(false);
  });

  test('the plan that a service names counts where no record names another', async () => {
    const peek = { tenant_id: api.tenant, plan: 'pro', method: 'GET', path: '/', peek: true };
    expect((await api.check(service, peek)).json['limits']).toMatchObject([{ limit: 500 }]);
    api.gateway.records.set(api.tenant, {
      tenant_id: api.tenant,
      plan: 'free',
      overrides: { minute: 7 },
      updated_at: '',
      updated_by: '',
    });
    expect((await api.check(service, peek)).json['limits']).toMatchObject([{ limit: 7 }, { limit: 1000 }]);
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
    const { status, response, json } = await api.check(service, {
      tenant_id: api.tenant,
      ...chat,
      ...fields,
    });
    expect(status).toBe(400);
    expect(json['detail']).toMatch(detail);
    expect(limitHeadersOf(response).limit).toBeGreaterThan(0);
  });

  test('NaN, other malformed JSON and a body without a caller are a 400', async () => {
    expect(await api.call('POST', '/v1/check', service, '{"cost": NaN}')).toMatchObject({
      status: 400,
      json: { detail: expect.stringContaining('not valid JSON') as unknown },
    });
    expect(await api.check(service, chat)).toMatchObject({
      status: 400,
      json: { detail: expect.stringContaining('tenant_id, user or ip') as unknown },
    });
  });

  test('a cost above the limit is refused without a Retry-After, because no wait helps', async () => {
    const { json } = await api.check(service, { tenant_id: api.tenant, user: 'u', ...chat, cost: 4 });
    expect(json).toMatchObject({
      allowed: false,
      problem: {
        detail:
          'This call costs 4 units, more than the limit of 3 per 1 minute can ever allow; send less at once',
      },
    });
    expect(json).not.toHaveProperty('retry_after_seconds');
  });

  test('C2: a tenant spends its own units only, and a caller without credentials none', async () => {
    const own = await as(api.tenant);
    expect((await api.check(own, chat)).json).toMatchObject({ allowed: true });
    expect(api.gateway.requests()[0]).toMatchObject({ subject: api.tenant, data: { user_id: 'u1' } });
    expect(await api.check(own, { tenant_id: 'other', ...chat })).toMatchObject({ status: 403 });
    expect(await api.check({}, { tenant_id: api.tenant, ...chat })).toMatchObject({ status: 401 });
    expect(await api.check({ 'x-service-token': 'guess' }, { tenant_id: api.tenant, ...chat })).toMatchObject(
      {
        status: 401,
      },
    );
  });
});

describe('GET /v1/authz', () => {
  const describedRequest = { 'x-original-method': 'POST', 'x-original-uri': '/agent/chat?x=1' };

  test('E3: responds with 200 and the caller, then with 429 and everything that a client needs', async () => {
    const headers = { ...(await as(api.tenant)), ...describedRequest };
    const first = await api.call('GET', '/v1/authz', headers);
    expect(first.status).toBe(200);
    expect(first.response.headers.get('x-tollgate-tenant')).toBe(api.tenant);
    expect(limitHeadersOf(first.response)).toMatchObject({ limit: 3, remaining: 2 });
    await api.call('GET', '/v1/authz', headers);
    await api.call('GET', '/v1/authz', headers);
    const refused = await api.call('GET', '/v1/authz', headers);
    expect(refused).toMatchObject({ status: 429, json: { 'violated-policies': ['chat'] } });
    expect(Number(refused.response.headers.get('retry-after'))).toBeGreaterThan(0);
    const forNginx = await api.call('GET', '/v1/authz?refuse=403', headers);
    expect(forNginx.status).toBe(403);
    expect(forNginx.response.headers.get('x-tollgate-status')).toBe('429');
    expect(JSON.parse(forNginx.response.headers.get('x-tollgate-problem') ?? '')).toMatchObject({
      status: 429,
      tenant_id: api.tenant,
    });
    expect(api.gateway.requests().at(-1)?.data).toMatchObject({
      entrypoint: 'authz',
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
    expect((await api.call('GET', '/v1/authz', headers)).status).toBe(200);
    expect(api.gateway.requests()[0]?.data).toMatchObject({
      client_ip: '203.0.113.77',
      route: 'POST /agent/chat',
    });
  });

  test('a bad token is a 401, a call without a described request a 400', async () => {
    expect(
      await api.call('GET', '/v1/authz', { ...describedRequest, authorization: 'Bearer x' }),
    ).toMatchObject({
      status: 401,
    });
    expect(await api.call('GET', '/v1/authz', await as(api.tenant))).toMatchObject({ status: 400 });
  });
});
