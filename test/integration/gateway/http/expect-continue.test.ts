import { randomInt } from 'node:crypto';
import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { tollgate } from '../../../../services/gateway/entrypoints/plugin.ts';
import { eventually, uniqueName } from '../../../support/servers.ts';
import { as, serviceToken, startGateway, startUpstream } from '../gateway.ts';
import type { TestGateway, TestUpstream } from '../gateway.ts';
import { openRaw } from './raw-connection.ts';

let upstream: TestUpstream;
let gateway: TestGateway;
/** An API with the plugin in its own process. */
let api: FastifyInstance;
let apiUrl: string;

beforeAll(async () => {
  upstream = await startUpstream((request, response) => request.pipe(response));
  gateway = await startGateway({
    policy: {
      plans: `
  free: { limits: [{ name: minute, per: tenant, limit: 2, window: 1m }] }
  slow: { limits: [{ name: minute, per: tenant, limit: 2, window: 1m }], slow_down: { from: 0, max_delay: 600ms } }`,
      services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
    },
    upstream: upstream.url,
    bodyBytesMax: 1_000,
  });
  api = fastify();
  await api.register(tollgate, { enforcer: gateway.enforcer });
  api.post<{ Body: string | undefined }>('/*', ({ body }) => body ?? '');
  apiUrl = await api.listen({ host: '127.0.0.1', port: 0 });
});

afterAll(async () => {
  await api.close();
  await gateway.close();
  await upstream.close();
});

afterEach(() => {
  gateway.events.length = 0;
  upstream.seen.length = 0;
});

const interim = 'HTTP/1.1 100 Continue\r\n\r\n';

function head(path: string, fields: Record<string, string>): string {
  const all = {
    host: 'h',
    expect: '100-continue',
    'content-type': 'text/plain',
    'content-length': '5',
    ...fields,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

describe.each([
  ['proxy', () => gateway.proxyUrl],
  ['plugin', () => apiUrl],
] as const)('Expect: 100-continue through the %s', (entrypoint, url) => {
  test('an allowed request gets one 100 Continue, and is served', async () => {
    const tenant = uniqueName('acme');
    const connection = await openRaw(url());
    connection.write(head('/x', await as(tenant)));
    await eventually(() => connection.text() === interim);
    connection.write('hello');
    expect(await connection.response()).toMatchObject({ status: 200, body: 'hello' });
    expect(connection.text().split('100 Continue')).toHaveLength(2);
    const events = gateway.requests().filter(({ subject }) => subject === tenant);
    expect(events).toMatchObject([{ data: { status: 200, entrypoint } }]);
    connection.destroy();
  });

  test.each([
    ['without a valid token', 401, () => Promise.resolve({ authorization: 'Bearer nonsense' })],
    ['beyond its limit', 429, spentTenant],
  ] as const)('a request %s gets its %i instead, and the connection ends', async (_what, status, fields) => {
    const connection = await openRaw(url());
    connection.write(
      head('/x', { 'x-forwarded-for': `203.0.113.${randomInt(1, 250)}`, ...(await fields()) }),
    );
    const response = await connection.response();
    expect(response.status).toBe(status);
    expect(response.headers.get('x-ratelimit-limit')).toBe('2');
    expect(response.headers.get('connection')).toBe('close');
    expect(connection.text()).not.toContain('100 Continue');
    await connection.closed;
  });

  test('a delayed request gets its 100 Continue after the delay', async () => {
    const headers = await as(uniqueName('acme'), { plan: 'slow' });
    await (await fetch(`${url()}/x`, { method: 'POST', headers })).text();
    const connection = await openRaw(url());
    const startedAt = performance.now();
    connection.write(head('/x', headers));
    await eventually(() => connection.text() === interim);
    expect(performance.now() - startedAt).toBeGreaterThan(500);
    connection.destroy();
  });
});

async function spentTenant(): Promise<Record<string, string>> {
  const headers = await as(uniqueName('acme'));
  for (let i = 0; i < 2; i += 1) await (await fetch(`${gateway.proxyUrl}/x`, { headers })).text();
  return headers;
}

test('a body with too large a Content-Length is refused before it is sent, and consumes nothing', async () => {
  const headers = await as(uniqueName('acme'));
  const connection = await openRaw(gateway.proxyUrl);
  connection.write(head('/x', { ...headers, 'content-length': '1001' }));
  expect((await connection.response()).status).toBe(413);
  expect(connection.text()).not.toContain('100 Continue');
  expect((await fetch(`${gateway.proxyUrl}/x`, { headers })).headers.get('x-ratelimit-remaining')).toBe('1');
  connection.destroy();
});

describe('Expect: 100-continue on the api listener', () => {
  const body = JSON.stringify({ tenant_id: 'acme', method: 'GET', path: '/x' });
  const fields = { 'content-type': 'application/json', 'content-length': String(body.length) };

  test('an authenticated caller gets a 100 Continue', async () => {
    const connection = await openRaw(gateway.apiUrl);
    connection.write(head('/v1/check', { ...fields, 'x-service-token': serviceToken }));
    await eventually(() => connection.text() === interim);
    connection.write(body);
    expect((await connection.response()).status).toBe(200);
    connection.destroy();
  });

  test.each([
    ['without credentials', 401, '/v1/check', {}],
    ['with bad credentials', 401, '/v1/check', { authorization: 'Bearer nonsense' }],
    ['for an unknown path', 404, '/v1/nothing', { 'x-service-token': serviceToken }],
  ])(
    'a request %s gets its %i instead, and the connection ends',
    async (_what, status, path, credentials) => {
      const connection = await openRaw(gateway.apiUrl);
      connection.write(head(path, { ...fields, ...credentials }));
      const response = await connection.response();
      expect(response.status).toBe(status);
      expect(response.headers.has('x-ratelimit-limit')).toBe(true);
      expect(connection.text()).not.toContain('100 Continue');
      await connection.closed;
    },
  );
});
