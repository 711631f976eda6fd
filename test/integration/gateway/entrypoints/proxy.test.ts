import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { uniqueName } from '../../../support/servers.ts';
import { as, limitHeadersOf, serviceToken, startGateway, tokenOf } from '../gateway.ts';
import { policy, useProxy } from '../proxy.ts';

const proxy = useProxy();

describe('A5: the limit headers are on every response', () => {
  test.each([
    ['a 200', '/fine', 200],
    ['a 404 of the upstream', '/missing', 404],
    ['a 500 of the upstream', '/broken', 500],
    ['a 504, the upstream being slow', '/never', 504],
  ])('%s', async (_what, path, status) => {
    const tenant = uniqueName('acme');
    const hasty = { upstreamTimeoutMs: 300, upstream: proxy.upstream.url };
    const gateway = status === 504 ? await startGateway({ policy, ...hasty }) : proxy.gateway;
    const response = await fetch(gateway.proxyUrl + path, { headers: await as(tenant) });
    expect(response.status).toBe(status);
    expect(limitHeadersOf(response)).toMatchObject({ limit: 100, remaining: 99 });
    expect(response.headers.get('ratelimit-policy')).toBe('"minute";q=100;w=60, "day";q=1000;w=86400');
    expect(response.headers.get('ratelimit')).toMatch(/^"minute";r=99;t=60, "day";r=999;t=\d+$/);
    expect(gateway.requests()).toMatchObject([
      { subject: tenant, data: { status, decision: 'allowed', entrypoint: 'proxy' } },
    ]);
    if (gateway !== proxy.gateway) await gateway.close();
  });

  test.each([
    ['an unreadable token', () => 'nonsense', /cannot be read/],
    ['an expired token', () => tokenOf({ tenant_id: 'x' }, -60), /expired/],
    ['alg: none', () => 'eyJhbGciOiJub25lIn0.eyJ0ZW5hbnRfaWQiOiJhY21lIn0.', /algorithm is not accepted/],
  ])('a 401 for %s, and the limits of the address are untouched', async (_what, token, detail) => {
    const ip = `203.0.113.${randomInt(1, 250)}`;
    for (let i = 0; i < 2; i += 1) {
      const response = await proxy.get('/fine', {
        authorization: `Bearer ${await token()}`,
        'x-forwarded-for': ip,
      });
      expect(response.status).toBe(401);
      expect(response.headers.get('content-type')).toMatch('application/problem+json');
      expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/);
      expect(limitHeadersOf(response)).toMatchObject({ limit: 100 });
      expect(await response.json()).toMatchObject({
        status: 401,
        detail: expect.stringMatching(detail) as unknown,
      });
    }
    expect(proxy.upstream.seen).toHaveLength(0);
    expect(proxy.gateway.requests()[0]).toMatchObject({
      subject: 'anonymous',
      data: { decision: 'limited', limited_by: ['unauthenticated'], status: 401 },
    });
  });

  test('a 413, by length and by streaming', async () => {
    const headers = await as(uniqueName('acme'));
    const body = new Uint8Array(10_001);
    const known = await fetch(`${proxy.gateway.proxyUrl}/echo`, { method: 'POST', headers, body });
    const stream = new ReadableStream({
      pull: (c) => {
        c.enqueue(body);
        c.close();
      },
    });
    const streamed = await fetch(`${proxy.gateway.proxyUrl}/echo`, {
      method: 'POST',
      headers,
      body: stream,
      duplex: 'half',
    });
    for (const response of [known, streamed]) {
      expect(response.status).toBe(413);
      expect(limitHeadersOf(response).limit).toBe(100);
      expect(await response.json()).toMatchObject({ detail: 'The body is larger than 10000 bytes.' });
    }
  });

  test('a 431 for 10 MB of headers, and the process serves the next request', async () => {
    const [head, body] = await raw(`GET / HTTP/1.1\r\nhost: x\r\nx-big: ${'a'.repeat(10_000_000)}\r\n\r\n`);
    expect(head).toMatch(/^HTTP\/1\.1 431 /);
    expect(head).toMatch(/x-ratelimit-limit: 100\r\n[^]*ratelimit-policy: /);
    expect(JSON.parse(body ?? '')).toMatchObject({
      status: 431,
      detail: 'The request headers are larger than 16384 bytes.',
    });
    expect((await proxy.get('/fine')).status).toBe(200);
  });

  test('a 400 for bytes that are not HTTP', async () => {
    const [head] = await raw('hello\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 400 [^]*x-ratelimit-remaining: \d+/);
  });

  test('a 400 for a path that cannot be read, which consumes nothing and is not forwarded', async () => {
    const headers = await as(uniqueName('acme'));
    const response = await proxy.get('/%zz?secret', headers);
    expect(response.status).toBe(400);
    expect(limitHeadersOf(response)).toMatchObject({ limit: 100, remaining: 100 });
    expect(await response.json()).toMatchObject({
      detail: 'The path holds a "%" that begins no escape; send it as %25.',
      decision_id: response.headers.get('x-tollgate-decision'),
    });
    expect(proxy.upstream.seen).toHaveLength(0);
    expect(proxy.gateway.requests()).toMatchObject([
      { data: { status: 400, decision: 'limited', limited_by: ['invalid'], path: '/%zz', route: '*' } },
    ]);
  });

  async function raw(text: string): Promise<string[]> {
    const { hostname, port } = new URL(proxy.gateway.proxyUrl);
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined);
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.write(text);
    await once(socket, 'end');
    socket.destroy();
    return answer.split('\r\n\r\n');
  }
});

test('E7 A4 B3: of eleven calls at 10 a minute ten are served and one is refused with an explanation', async () => {
  const tenant = uniqueName('acme');
  const headers = await as(tenant);
  const statuses: number[] = [];
  let last: Response | undefined;
  for (let i = 0; i < 11; i += 1) {
    last = await fetch(`${proxy.gateway.proxyUrl}/agent/chat`, { method: 'POST', headers });
    statuses.push(last.status);
  }
  expect(statuses).toEqual([...Array<number>(10).fill(200), 429]);
  const retryAfter = Number(last?.headers.get('retry-after'));
  const { limit, remaining, reset } = limitHeadersOf(last!);
  expect({ limit, remaining }).toEqual({ limit: 10, remaining: 0 });
  expect(retryAfter).toBeGreaterThan(50);
  expect(last?.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(await last?.json()).toEqual({
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Too many requests',
    status: 429,
    detail: `10 requests per 1 minute allowed for this user on POST /agent/chat; try again in ${retryAfter} s`,
    error: 'Rate limit exceeded: 10 per 1 minute',
    'violated-policies': ['chat'],
    limit: 10,
    window_seconds: 60,
    remaining: 0,
    retry_after_seconds: retryAfter,
    reset,
    tenant_id: tenant,
    plan: 'free',
    documentation_url: 'https://docs.example.com/limits',
    upgrade_url: 'https://example.com/pricing',
    decision_id: last?.headers.get('x-tollgate-decision'),
  });
  expect(proxy.upstream.seen).toHaveLength(10);
  const events = proxy.gateway.requests();
  expect(events.map(({ data }) => data.decision)).toEqual([...Array<string>(10).fill('allowed'), 'limited']);
  expect(events.at(-1)).toMatchObject({
    id: last?.headers.get('x-tollgate-decision'),
    data: { limited_by: ['chat'], route: 'POST /agent/chat', user_id: 'u1', cost: 0.000075 },
  });
  // E4: the hit is logged with caller and address.
  const line = proxy.gateway.logLines
    .map((text) => JSON.parse(text) as Record<string, unknown>)
    .find((entry) => entry['tenant'] === tenant);
  expect(line).toMatchObject({
    msg: 'limit hit',
    user: 'u1',
    ip: '127.0.0.1',
    route: 'POST /agent/chat',
    limited_by: ['chat'],
  });
});

test('B6: a service token passes a full limit and a full platform, and consumes nothing', async () => {
  const tenant = uniqueName('acme');
  const headers = { ...(await as(tenant)), 'x-service-token': serviceToken };
  for (let i = 0; i < 12; i += 1) {
    const response = await fetch(`${proxy.gateway.proxyUrl}/agent/chat`, { method: 'POST', headers });
    expect(response.status).toBe(200);
    expect(limitHeadersOf(response)).toMatchObject({ limit: 10, remaining: 10 });
  }
  expect(proxy.upstream.seen[0]?.headers['x-service-token']).toBeUndefined();
  expect(proxy.gateway.requests()[0]).toMatchObject({
    subject: tenant,
    data: { decision: 'bypassed', service: 'billing' },
  });
  expect(limitHeadersOf(await proxy.get('/fine', await as(tenant))).remaining).toBe(99);
});

test('cost: a call consumes the cost of its route, and a call that costs more than is left consumes nothing', async () => {
  const headers = await as(uniqueName('acme'));
  const first = await fetch(`${proxy.gateway.proxyUrl}/heavy`, { method: 'POST', headers });
  expect(limitHeadersOf(first).remaining).toBe(40);
  const second = await fetch(`${proxy.gateway.proxyUrl}/heavy`, { method: 'POST', headers });
  expect(second.status).toBe(429);
  expect(limitHeadersOf(second).remaining).toBe(40);
  expect(proxy.gateway.requests()[0]?.data).toMatchObject({ units: 60, cost: 30 });
});

test('shadow: a limit in shadow refuses no request and is recorded', async () => {
  const headers = await as(uniqueName('acme'));
  expect([
    (await proxy.get('/secret', headers)).status,
    (await proxy.get('/secret', headers)).status,
  ]).toEqual([200, 200]);
  expect(proxy.gateway.requests().map(({ data }) => [data.decision, data.limited_by])).toEqual([
    ['allowed', []],
    ['shadow_limited', ['shadowed']],
  ]);
});

test('C3: a blocked tenant is refused with the end of the block and its reason', async () => {
  const tenant = uniqueName('acme');
  const until = new Date(Date.now() + 30_000).toISOString();
  proxy.gateway.records.set(tenant, {
    tenant_id: tenant,
    block: { until, reason: 'abuse', actor: 'ops' },
    updated_at: until,
    updated_by: 'ops',
  });
  const response = await proxy.get('/fine', await as(tenant));
  expect(response.status).toBe(429);
  expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(25);
  expect(limitHeadersOf(response).remaining).toBe(100);
  expect(await response.json()).toMatchObject({
    detail: `This tenant is blocked until ${until}: abuse`,
    'violated-policies': ['blocked'],
  });
});

describe('the request is forwarded unchanged', () => {
  test('path, query and headers; fields of the connection and fields that only Tollgate sets are dropped', async () => {
    const tenant = uniqueName('ac/me');
    const headers = {
      ...(await as(tenant)),
      'x-custom': 'kept',
      'x-tollgate-tenant': 'forged',
      te: 'trailers',
      'x-forwarded-for': '203.0.113.7',
    };
    const response = await proxy.get('/some/path?a=1&a=2', headers);
    const { url, headers: got } = (await response.json()) as { url: string; headers: Record<string, string> };
    expect(url).toBe('/some/path?a=1&a=2');
    expect(got).toMatchObject({
      'x-custom': 'kept',
      'x-tollgate-tenant': encodeURIComponent(tenant),
      'x-tollgate-user': 'u1',
      'x-forwarded-for': '203.0.113.7, 127.0.0.1',
    });
    expect(got['te']).toBeUndefined();
    expect(got['x-request-id']).toBe(response.headers.get('x-tollgate-decision'));
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
  });

  test("the upstream's own limit headers are replaced, never joined; its Retry-After stays", async () => {
    const response = await proxy.get('/missing', await as(uniqueName('acme')));
    expect(response.headers.get('x-ratelimit-limit')).toBe('100');
    expect(response.headers.get('retry-after')).toBe('99');
    expect(await response.text()).toBe('no such thing');
  });

  test('bodies stream both ways: the first chunk arrives before the last one is sent', async () => {
    const response = await proxy.get('/drip', await as(uniqueName('acme')));
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const decode = (chunk?: Uint8Array): string => new TextDecoder().decode(chunk);
    expect(decode((await reader.read()).value)).toBe('first');
    proxy.finishDrips();
    expect(decode((await reader.read()).value)).toBe('last');
    const echoed = await fetch(`${proxy.gateway.proxyUrl}/echo`, {
      method: 'PUT',
      body: 'x'.repeat(9_000),
      headers: await as(uniqueName('acme')),
    });
    expect(await echoed.text()).toHaveLength(9_000);
  });

  test('a response that the upstream aborts is aborted here, and is metered once', async () => {
    const response = await proxy.get('/cut', await as(uniqueName('acme')));
    await expect(response.text()).rejects.toThrow();
    expect(proxy.gateway.requests()).toHaveLength(1);
  });
});
