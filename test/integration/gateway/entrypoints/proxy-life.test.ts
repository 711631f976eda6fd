import { request as httpRequest } from 'node:http';
import { describe, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../../support/servers.ts';
import { as, limitHeadersOf, serviceToken, startGateway } from '../gateway.ts';
import { policy, useProxy } from '../proxy.ts';

const proxy = useProxy();

describe('a client that leaves', () => {
  test('before the response: the upstream request is aborted, one event has status 499, and the permit is released', async () => {
    const headers = await as(uniqueName('acme'));
    const request = httpRequest(`${proxy.gateway.proxyUrl}/never`, { headers });
    request.on('error', () => undefined).end();
    await eventually(() => proxy.upstream.seen.length === 1);
    request.destroy();
    await eventually(() => proxy.upstream.seen[0]?.destroyed);
    await eventually(() => proxy.gateway.requests().length === 1 && proxy.gateway.concurrency.inUse() === 0);
    expect(proxy.gateway.requests()[0]?.data).toMatchObject({ status: 499, decision: 'allowed' });
    // If the aborted request wrote a second event, the event would come before the event of this later request.
    await proxy.get('/fine', headers);
    expect(proxy.gateway.requests().map(({ data }) => data.status)).toEqual([499, 200]);
  });

  test('in the middle of a response: metered once, with the status that was sent', async () => {
    const headers = await as(uniqueName('acme'));
    const controller = new AbortController();
    const response = await proxy.get('/drip', await as(uniqueName('acme')), controller.signal);
    await response.body?.getReader().read();
    controller.abort();
    await eventually(() => proxy.gateway.concurrency.inUse() === 0);
    await proxy.get('/missing', headers);
    expect(proxy.gateway.requests().map(({ data }) => data.status)).toEqual([200, 404]);
  });
});

describe('A7: requests in flight are bounded across the platform while they stream', () => {
  test('one request too many is refused and consumes nothing; a permit is free as soon as one request ends', async () => {
    const tenant = uniqueName('acme');
    const headers = await as(tenant);
    const answers = await Promise.all([1, 2, 3].map(() => proxy.get('/drip', headers)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    const refused = await proxy.get('/fine', headers);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBe(1);
    expect(await refused.json()).toMatchObject({
      'violated-policies': ['platform'],
      detail: '3 requests at once allowed for the whole platform; try again in 1 s',
    });
    expect((await proxy.get('/fine', { 'x-service-token': serviceToken })).status).toBe(200);
    proxy.finishDrips();
    await Promise.all(answers.map((answer) => answer.text()));
    await eventually(() => proxy.gateway.concurrency.inUse() === 0);
    const free = await proxy.get('/fine', headers);
    expect(free.status).toBe(200);
    expect(limitHeadersOf(free).remaining).toBe(96);
  });
});

test('an upstream that aborts its response before the body is a 502 without the headers of the upstream', async () => {
  const response = await proxy.get('/headers-only', await as(uniqueName('acme')));
  expect(response.status).toBe(502);
  expect(limitHeadersOf(response).remaining).toBe(99);
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json\b/);
  expect(['content-encoding', 'set-cookie'].filter((name) => response.headers.has(name))).toEqual([]);
  expect(await response.json()).toMatchObject({
    detail: 'The API behind this address aborted its response.',
  });
});

test('a 304 with the length of the body that it does not send is forwarded', async () => {
  const response = await proxy.get('/not-modified', await as(uniqueName('acme')));
  expect(response.status).toBe(304);
  expect(response.headers.get('etag')).toBe('"a"');
  expect(limitHeadersOf(response).remaining).toBe(99);
});

test('an upstream that is down is a 502 with the limit headers', async () => {
  const down = await startGateway({ policy, upstream: 'http://127.0.0.1:1' });
  const response = await fetch(`${down.proxyUrl}/x`, { headers: await as(uniqueName('acme')) });
  expect(response.status).toBe(502);
  expect(limitHeadersOf(response).remaining).toBe(99);
  expect(await response.json()).toMatchObject({ detail: 'The API behind this address cannot be reached.' });
  expect(down.requests()).toMatchObject([{ data: { status: 502 } }]);
  const exported = await down.registry.metrics();
  expect(exported).toMatch(/^tollgate_upstream_failures_total\{.*kind="unreachable".*\} 1$/m);
  expect(exported).toMatch(/^tollgate_responses_total\{.*entrypoint="proxy",status="5xx".*\} 1$/m);
  await down.close();
});

test('D1: without Redis requests are served, with limits and marked degraded', async () => {
  const alone = await startGateway({ policy, upstream: proxy.upstream.url, redisUrl: 'redis://127.0.0.1:1' });
  const headers = await as(uniqueName('acme'));
  const statuses: number[] = [];
  for (let i = 0; i < 11; i += 1) {
    const response = await fetch(`${alone.proxyUrl}/agent/chat`, { method: 'POST', headers });
    statuses.push(response.status);
    expect(limitHeadersOf(response).limit).toBe(10);
  }
  expect(statuses.slice(0, 3)).toEqual([200, 200, 200]);
  expect(statuses.at(-1)).toBe(429);
  expect(alone.requests().every(({ data }) => data.degraded)).toBe(true);
  await alone.close();
});

test('D1: a permit that a node grants alone is marked degraded, also where no window is', async () => {
  const parts = {
    plans: '{ free: { limits: [] } }',
    platform: '{ limits: [{ name: platform, per: global, type: concurrent, limit: 100 }] }',
  };
  const alone = await startGateway({
    policy: parts,
    upstream: proxy.upstream.url,
    redisUrl: 'redis://127.0.0.1:1',
  });
  const headers = await as(uniqueName('acme'));
  // The first request detects that Redis does not respond.
  for (let i = 0; i < 2; i += 1) expect((await fetch(`${alone.proxyUrl}/x`, { headers })).status).toBe(200);
  expect(alone.requests().map(({ data }) => data.degraded)).toEqual([true, true]);
  await alone.close();
});

test('B11: near its limit a request is delayed before it is served, the nearer the longer', async () => {
  const slow = await startGateway({
    policy: {
      plans:
        '{ free: { limits: [{ name: minute, per: tenant, limit: 10, window: 1m }], slow_down: { from: 0.5, max_delay: 200ms } } }',
    },
    upstream: proxy.upstream.url,
  });
  const headers = await as(uniqueName('acme'));
  const took: number[] = [];
  for (let i = 0; i < 10; i += 1) {
    const started = performance.now();
    expect((await fetch(`${slow.proxyUrl}/x`, { headers })).status).toBe(200);
    took.push(performance.now() - started);
  }
  expect(took[8]).toBeGreaterThanOrEqual(155);
  expect(took[9]).toBeGreaterThanOrEqual(195);
  // The first five requests use at most half of the limit, so they are not delayed.
  expect(await slow.registry.metrics()).toMatch(/^tollgate_slow_down_delay_seconds_count\S* 5$/m);
  await slow.close();
});

test('a reloaded policy applies from the next request on, and the usage stays', async () => {
  const reloaded = await startGateway({ policy, upstream: proxy.upstream.url });
  const headers = await as(uniqueName('acme'));
  expect(limitHeadersOf(await fetch(`${reloaded.proxyUrl}/x`, { headers }))).toMatchObject({
    limit: 100,
    remaining: 99,
  });
  reloaded.usePolicy({
    plans: '{ free: { limits: [{ name: minute, per: tenant, limit: 2, window: 1m }] } }',
  });
  expect(limitHeadersOf(await fetch(`${reloaded.proxyUrl}/x`, { headers }))).toMatchObject({
    limit: 2,
    remaining: 0,
  });
  expect((await fetch(`${reloaded.proxyUrl}/x`, { headers })).status).toBe(429);
  await reloaded.close();
});

test('F3: a request whose response has a status that is not charged keeps no units, in Redis and in its event', async () => {
  const tenant = uniqueName('acme');
  const remaining = async (path: string): Promise<string | null> => {
    const response = await proxy.get(path, await as(tenant));
    await response.text();
    return response.headers.get('x-ratelimit-remaining');
  };
  try {
    proxy.gateway.usePolicy({
      plans:
        '{ free: { limits: [{ name: few, per: tenant, limit: 3, window: 1h }], charge: { unless_status: [5xx, 404] } } }',
      routes: '[{ match: GET /missing, charge: { unless_status: [429] } }]',
    });
    expect(await remaining('/broken')).toBe('2');
    await eventually(async () => expect(await remaining('/broken')).toBe('2'));
    await eventually(async () => expect(await remaining('/fine')).toBe('2'));
    expect(await remaining('/missing'), 'the rule of the route has precedence').toBe('1');
  } finally {
    proxy.gateway.usePolicy(policy);
  }
  const units = proxy.gateway.requests().map(({ data }) => [data.path, data.decision, data.units]);
  expect(units.filter(([path]) => path === '/broken').every(([, , charged]) => charged === 0)).toBe(true);
  expect(units).toContainEqual(['/missing', 'allowed', 1]);
});

test("F7: the upstream gets its own credential instead of the callers', and the client never sees it", async () => {
  const upstreamCredential = { name: 'authorization', value: 'Bearer sk-of-the-operator' };
  const own = await startGateway({ policy, upstream: proxy.upstream.url, upstreamCredential });
  const { authorization = '' } = await as(uniqueName('acme'));
  const headers = { authorization, 'x-api-key': 'tgk_of_the_caller', 'x-service-token': serviceToken };
  const response = await fetch(`${own.proxyUrl}/x`, { headers });
  const text = await response.text();
  expect(response.status).toBe(200);
  expect(proxy.upstream.seen[0]?.headers.authorization).toBe('Bearer sk-of-the-operator');
  expect(text).not.toContain(authorization);
  expect(text).not.toContain('tgk_of_the_caller');
  expect([...response.headers.values()].join()).not.toContain('sk-of-the-operator');
  await own.close();
});
