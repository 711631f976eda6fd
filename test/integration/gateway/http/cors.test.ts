import { randomInt } from 'node:crypto';
import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { tollgate } from '../../../../services/gateway/entrypoints/plugin.ts';
import { uniqueName } from '../../../support/servers.ts';
import { as, startGateway, startUpstream } from '../gateway.ts';
import type { TestGateway, TestUpstream } from '../gateway.ts';

const origin = 'https://app.example.com';
const jwt = '{ algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET }';
const policy = {
  plans: '{ free: { limits: [{ name: minute, per: tenant, limit: 2, window: 1m }] } }',
  routes: '[{ match: "* /priced", price: 1 }]',
  identity: `{ jwt: ${jwt}, anonymous: reject, trusted_proxies: [127.0.0.0/8] }`,
};
const cors = `{ origins: [${origin}], max_age: 1h, exposed_headers: [X-Page], preflights: 3 }`;
const exposed =
  'x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, ratelimit, ratelimit-policy, retry-after, x-should-retry, x-tollgate-decision, x-page';

let upstream: TestUpstream;
let gateway: TestGateway;
/** A gateway whose policy has no `cors`. */
let plain: TestGateway;
/** An API with the plugin in its own process. */
let api: FastifyInstance;
let apiUrl: string;

beforeAll(async () => {
  upstream = await startUpstream((request, response) => {
    if (request.url === '/never') return;
    if (request.url === '/cors' || request.method === 'OPTIONS') {
      response.setHeader('access-control-allow-origin', 'https://upstream.example.com');
      response.setHeader('access-control-expose-headers', 'X-Own, RateLimit');
      response.setHeader('vary', 'Accept');
    }
    response.end('done');
  });
  const options = { upstream: upstream.url, bodyBytesMax: 10 };
  gateway = await startGateway({ policy: { ...policy, cors }, ...options });
  plain = await startGateway({ policy, ...options });
  api = fastify();
  await api.register(tollgate, { enforcer: gateway.enforcer });
  api.get('/x', () => 'mine');
  apiUrl = await api.listen({ host: '127.0.0.1', port: 0 });
});

afterAll(async () => {
  await api.close();
  await Promise.all([gateway.close(), plain.close()]);
  await upstream.close();
});

afterEach(() => {
  gateway.events.length = 0;
  plain.events.length = 0;
  upstream.seen.length = 0;
});

const address = (): Record<string, string> => ({ 'x-forwarded-for': `203.0.113.${randomInt(1, 250)}` });
const preflightFields = {
  'access-control-request-method': 'PUT',
  'access-control-request-headers': 'authorization,x-a',
};

function preflight(url: string, fields: Record<string, string> = {}): Promise<Response> {
  return fetch(url, { method: 'OPTIONS', headers: { ...address(), origin, ...preflightFields, ...fields } });
}

function corsOf({ headers }: Response): Record<string, string> {
  const names = [...headers].filter(([name]) => name.startsWith('access-control-') || name === 'vary');
  return Object.fromEntries(names);
}

describe('F3: preflights', () => {
  test.each([
    ['proxy', () => gateway.proxyUrl],
    ['plugin', () => apiUrl],
  ])(
    'get a response from the %s if the policy has cors, without credentials and for no unit',
    async (entrypoint, url) => {
      const response = await preflight(`${url()}/priced`);
      expect(response.status).toBe(204);
      expect(corsOf(response)).toEqual({
        'access-control-allow-origin': origin,
        'access-control-allow-methods': 'PUT',
        'access-control-allow-headers': 'authorization,x-a',
        'access-control-max-age': '3600',
        'access-control-expose-headers': exposed,
        vary: 'Access-Control-Request-Method, Access-Control-Request-Headers, Origin',
      });
      expect(response.headers.get('x-ratelimit-limit')).toBe('3');
      expect(upstream.seen).toEqual([]);
      expect(gateway.requests()).toMatchObject([
        { data: { status: 204, decision: 'allowed', units: 0, cost: 0, method: 'OPTIONS', entrypoint } },
      ]);
    },
  );

  test('are forwarded to the upstream if the policy has no cors, and cost no unit', async () => {
    const from = address();
    const response = await preflight(`${plain.proxyUrl}/priced`, from);
    expect(response.status).toBe(200);
    expect(corsOf(response)['access-control-allow-origin']).toBe('https://upstream.example.com');
    expect(upstream.seen).toMatchObject([{ method: 'OPTIONS', url: '/priced' }]);
    expect(plain.requests()).toMatchObject([{ data: { units: 0, cost: 0 } }]);
    const next = await fetch(`${plain.proxyUrl}/x`, { headers: from });
    expect([next.status, next.headers.get('x-ratelimit-remaining')]).toEqual([401, '2']);
  });

  test('from another origin are refused with the reason', async () => {
    const response = await preflight(`${gateway.proxyUrl}/x`, { origin: 'https://evil.example' });
    expect(response.status).toBe(403);
    expect(corsOf(response)).toEqual({ vary: 'Origin' });
    expect(await response.json()).toMatchObject({
      detail: expect.stringContaining('cors.origins') as unknown,
    });
  });

  test('are bounded by address, and use up no other limit of the address', async () => {
    const from = { 'x-forwarded-for': '198.51.100.7' };
    const statuses: number[] = [];
    for (let i = 0; i < 4; i += 1) statuses.push((await preflight(`${gateway.proxyUrl}/x`, from)).status);
    expect(statuses).toEqual([204, 204, 204, 429]);
    expect(gateway.requests().at(-1)?.data.limited_by).toEqual(['preflight']);
    const headers = { ...(await as(uniqueName('acme'))), ...from };
    expect((await fetch(`${gateway.proxyUrl}/x`, { headers })).headers.get('x-ratelimit-remaining')).toBe(
      '1',
    );
  });

  test('are distinguished from other OPTIONS requests, which are charged', async () => {
    const headers = { ...(await as(uniqueName('acme'))), origin };
    const response = await fetch(`${gateway.proxyUrl}/priced`, { method: 'OPTIONS', headers });
    expect(response.status).toBe(200);
    expect(gateway.requests()).toMatchObject([{ data: { units: 1, cost: 1 } }]);
  });

  test('get a response from the api listener as well', async () => {
    const response = await preflight(`${gateway.apiUrl}/v1/usage`);
    expect([response.status, corsOf(response)['access-control-allow-origin']]).toEqual([204, origin]);
    expect((await preflight(`${plain.apiUrl}/v1/usage`)).status).toBe(404);
  });
});

describe('F3: a page of an allowed origin can read Tollgate’s own responses', () => {
  const readable = { 'access-control-allow-origin': origin, 'access-control-expose-headers': exposed };

  test.each([
    ['a 401', 401, '/x', () => Promise.resolve({ authorization: 'Bearer nonsense' })],
    ['a 429', 429, '/x', spentTenant],
    ['a 400', 400, '/a%2Fb', () => as(uniqueName('acme'))],
  ] as const)('%s', async (_what, status, path, fields) => {
    const response = await fetch(gateway.proxyUrl + path, { headers: { origin, ...(await fields()) } });
    expect(response.status).toBe(status);
    expect(corsOf(response)).toEqual({ ...readable, vary: 'Origin' });
  });

  test('a 504', async () => {
    const hasty = { upstream: upstream.url, upstreamTimeoutMs: 300 };
    const late = await startGateway({ policy: { ...policy, cors }, ...hasty });
    const headers = { origin, ...(await as(uniqueName('acme'))) };
    const response = await fetch(`${late.proxyUrl}/never`, { headers });
    expect([response.status, corsOf(response)]).toEqual([504, { ...readable, vary: 'Origin' }]);
    await late.close();
  });

  test('a 413, and a 502', async () => {
    const headers = { origin, ...(await as(uniqueName('acme'))) };
    const large = await fetch(`${gateway.proxyUrl}/x`, { method: 'POST', body: 'a'.repeat(11), headers });
    expect([large.status, corsOf(large)]).toEqual([413, { ...readable, vary: 'Origin' }]);
    const down = await startGateway({ policy: { ...policy, cors }, upstream: 'http://127.0.0.1:1' });
    const gone = await fetch(`${down.proxyUrl}/x`, { headers });
    expect([gone.status, corsOf(gone)]).toEqual([502, { ...readable, vary: 'Origin' }]);
    await down.close();
  });

  test('on the api listener', async () => {
    const response = await fetch(`${gateway.apiUrl}/v1/usage`, { headers: { origin } });
    expect([response.status, corsOf(response)]).toEqual([401, { ...readable, vary: 'Origin' }]);
  });

  test('and a page of another origin cannot, nor any page if the policy has no cors', async () => {
    const headers = { authorization: 'Bearer nonsense' };
    const other = await fetch(`${gateway.proxyUrl}/x`, {
      headers: { ...headers, origin: 'https://evil.example' },
    });
    expect(corsOf(other)).toEqual({ vary: 'Origin' });
    expect(corsOf(await fetch(`${plain.proxyUrl}/x`, { headers: { ...headers, origin } }))).toEqual({});
  });

  test('of every origin with `origins: ["*"]`, and with credentials if the policy allows them', async () => {
    const headers = { authorization: 'Bearer nonsense', origin: 'https://any.example' };
    plain.usePolicy({ ...policy, cors: '{ origins: ["*"] }' });
    expect(corsOf(await fetch(`${plain.proxyUrl}/x`, { headers }))).toMatchObject({
      'access-control-allow-origin': '*',
    });
    plain.usePolicy({ ...policy, cors: '{ origins: [https://any.example], credentials: true }' });
    expect(corsOf(await fetch(`${plain.proxyUrl}/x`, { headers }))).toMatchObject({
      'access-control-allow-origin': 'https://any.example',
      'access-control-allow-credentials': 'true',
    });
    plain.usePolicy(policy);
  });
});

describe('F3: a response of the upstream', () => {
  test('keeps its CORS fields, and shows its limit headers to an allowed origin', async () => {
    const headers = { origin, ...(await as(uniqueName('acme'))) };
    const response = await fetch(`${gateway.proxyUrl}/cors`, { headers });
    expect(corsOf(response)).toEqual({
      'access-control-allow-origin': 'https://upstream.example.com',
      'access-control-expose-headers':
        'X-Own, RateLimit, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, ratelimit-policy, retry-after, x-should-retry, x-tollgate-decision, x-page',
      vary: 'Accept, Origin',
    });
  });

  test('without CORS fields gets none', async () => {
    const headers = { origin, ...(await as(uniqueName('acme'))) };
    expect(corsOf(await fetch(`${gateway.proxyUrl}/x`, { headers }))).toEqual({});
  });
});

/** Credentials of a tenant that has used up its limit. */
async function spentTenant(): Promise<Record<string, string>> {
  const headers = await as(uniqueName('acme'));
  for (let i = 0; i < 2; i += 1) await (await fetch(`${gateway.proxyUrl}/x`, { headers })).text();
  return headers;
}
