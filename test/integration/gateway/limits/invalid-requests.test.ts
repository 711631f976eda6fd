// Goal: every request is charged to a limit, also a request that cannot be parsed or served. Method: send many requests
// of each kind that the listeners and the Envoy server refuse, from one address; check the responses, the number of
// checks in Redis and the events.
import { randomInt } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { listenEnvoy } from '../../../../services/gateway/listeners/rls-listener.ts';
import type { EnvoyServer } from '../../../../services/gateway/listeners/rls-listener.ts';
import { eventually, uniqueName } from '../../../support/servers.ts';
import { startIssuer } from '../../../unit/identity/issuer.ts';
import { openEnvoyClient } from '../entrypoints/envoy-client.ts';
import type { EnvoyClient } from '../entrypoints/envoy-client.ts';
import { serviceToken, startGateway, startUpstream, tokenOf } from '../gateway.ts';
import type { TestGateway, TestUpstream } from '../gateway.ts';
import { exchangeRaw, openRaw } from '../http/raw-connection.ts';

const allowed = 5;
const total = 120;
const identity = `{ jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET }, trusted_proxies: [127.0.0.0/8], refused: { limit: ${allowed}, window: 1m } }`;
const policy = {
  identity,
  plans: '{ free: { limits: [{ name: minute, per: tenant, limit: 1000000, window: 1m }] } }',
  services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
  routes: '[{ match: POST /agent/chat, limits: [{ name: chat, per: user, limit: 1000000, window: 1m }] }]',
};

let upstream: TestUpstream;
let gateway: TestGateway;
let envoy: EnvoyServer;
let client: EnvoyClient;
let address: string;

beforeAll(async () => void (upstream = await startUpstream((_request, response) => response.end('{}'))));
afterAll(() => upstream.close());
beforeEach(async () => {
  address = `203.0.${randomInt(256)}.${randomInt(256)}`;
  gateway = await startGateway({ policy, upstream: upstream.url, bodyBytesMax: 1_000 });
  envoy = await listenEnvoy({
    enforcer: gateway.enforcer,
    host: '127.0.0.1',
    port: 0,
    rateLimitWaitMsMax: 3_000,
  });
  client = openEnvoyClient(envoy.port);
});
afterEach(async () => {
  client.close();
  await envoy.close();
  await gateway.close();
});

/** Sends one request and returns the status of its response. */
type Send = () => Promise<number>;
type Kind = readonly [name: string, status: number, send: Send];

const raw =
  (listener: 'proxyUrl' | 'apiUrl', bytes: string): Send =>
  async () =>
    (await exchangeRaw(gateway[listener], bytes)).status;
const lines = (first: string, ...fields: string[]): string => `${[first, ...fields].join('\r\n')}\r\n\r\n`;
const get = (path: string, ...fields: string[]): string =>
  lines(`GET ${path} HTTP/1.1`, 'Host: h', ...fields);
const authz =
  (headers: Record<string, string>, query = ''): Send =>
  async () => {
    const own = { 'x-forwarded-for': address, ...headers };
    return (await fetch(`${gateway.apiUrl}/v1/authz${query}`, { headers: own })).status;
  };

const kinds: readonly Kind[] = [
  ['proxy: a target that cannot be read', 400, raw('proxyUrl', get('/%zz'))],
  ['proxy: a target of two readings', 400, raw('proxyUrl', get('/agent%2fchat').replace('GET', 'POST'))],
  ['proxy: another method in a field', 400, raw('proxyUrl', get('/x', 'X-HTTP-Method: PUT'))],
  ['proxy: bytes that are no HTTP', 400, raw('proxyUrl', 'hello\r\n\r\n')],
  ['proxy: no Host', 400, raw('proxyUrl', lines('GET /x HTTP/1.1'))],
  ['proxy: headers that are too long', 431, raw('proxyUrl', get('/x', `A: ${'a'.repeat(17_000)}`))],
  ['proxy: CONNECT', 405, raw('proxyUrl', lines('CONNECT h:443 HTTP/1.1', 'Host: h:443'))],
  ['proxy: TRACE', 405, raw('proxyUrl', get('/x').replace('GET', 'TRACE'))],
  ['proxy: an expectation', 417, raw('proxyUrl', get('/x', 'Expect: a-miracle'))],
  ['proxy: a body that is too long', 413, raw('proxyUrl', get('/x', 'Content-Length: 1001'))],
  ['proxy: another version', 505, raw('proxyUrl', lines('GET /x HTTP/1.2', 'Host: h'))],
  ['api: bytes that are no HTTP', 400, raw('apiUrl', 'hello\r\n\r\n')],
  ['api: a target that the router cannot decode', 400, raw('apiUrl', get('/v1/%zz'))],
  ['api: a parameter that is too long', 414, raw('apiUrl', get(`/v1/decisions/${'a'.repeat(2_001)}`))],
  ['api: CONNECT', 405, raw('apiUrl', lines('CONNECT h:443 HTTP/1.1', 'Host: h:443'))],
  ['api: an expectation', 417, raw('apiUrl', get('/v1/limits', 'Expect: a-miracle'))],
  ['api: two Hosts', 400, raw('apiUrl', get('/v1/limits', 'Host: other'))],
  ['authz: no target', 400, authz({})],
  ['authz: a bad target', 400, authz({ 'x-original-method': 'GET', 'x-original-uri': '/%zz' })],
  ['authz: a bad method', 400, authz({ 'x-original-method': '1', 'x-original-uri': '/' })],
  ['authz: a bad query', 400, authz({ 'x-original-method': 'GET', 'x-original-uri': '/' }, '?source=x')],
  ['ext_authz by HTTP: a bad target', 400, raw('apiUrl', get('/v1/ext-authz/a%00b'))],
  ['ext_authz by HTTP: a target that the router cannot decode', 400, raw('apiUrl', get('/v1/ext-authz/%zz'))],
  ['ext_authz by HTTP: another prefix', 400, raw('apiUrl', get('/v1/ext-auth%7a/x'))],
  ['ext_authz by gRPC: a bad target', 400, () => client.authorize(address, 'GET', '/%zz')],
  ['rate limit service: a bad target', 400, () => client.limit({ remote_address: address, path: '/%zz' })],
  [
    'rate limit service: a bad target of a tenant',
    400,
    () => client.limit({ tenant_id: address, path: '/%zz' }),
  ],
];

async function metric(pattern: RegExp): Promise<number> {
  return Number(pattern.exec(await gateway.registry.metrics())?.[1] ?? 0);
}

/** Number of checks that Redis has executed for all requests so far. */
const checks = (): Promise<number> => metric(/^tollgate_redis_batch_checks_sum\S* (\d+)$/m);

describe('requests that cannot be served are charged to their address', () => {
  test.each(kinds)('%s: a %i within the limit, a 429 beyond it', async (_name, status, send) => {
    const before = await checks();
    const statuses: number[] = [];
    for (let round = 0; round <= allowed; round += 1) statuses.push(await send());
    statuses.push(...(await Promise.all(Array.from({ length: total - allowed - 1 }, send))));
    expect(statuses).toEqual([
      ...Array<number>(allowed).fill(status),
      ...Array<number>(total - allowed).fill(429),
    ]);
    // For each request within the limit, one check charges the limit and one reads the limits of the plan. One more
    // check returns that the limit is used up.
    expect((await checks()) - before).toBeLessThanOrEqual(2 * allowed + 1);
    const events = gateway.requests();
    const full = events.filter(({ data }) => data.sample_weight === undefined);
    expect(full.map(({ data }) => data.status)).toEqual(Array<number>(allowed).fill(status));
    expect(full.map(({ data }) => data.limited_by)).toEqual(Array<string[]>(allowed).fill(['invalid']));
    for (const { data } of events.slice(allowed))
      expect(data).toMatchObject({ status: 429, limited_by: ['invalid'], sample_weight: 100 });
    // 1.15 sampled events of 115 are expected; more than 10 occur in one run in ten million.
    expect(events.length).toBeLessThanOrEqual(allowed + 10);
    expect(events.length + (await metric(/^tollgate_events_sampled_out_total (\d+)$/m))).toBe(total);
  });
});

describe('an address over its limit of requests that cannot be served', () => {
  const bad = (from = address): Promise<Response> =>
    fetch(`${gateway.proxyUrl}/%zz`, { headers: { 'x-forwarded-for': from } });

  test('gets a problem with the limit and the time until its requests are read again', async () => {
    for (let round = 0; round < allowed; round += 1) {
      const response = await bad();
      expect(response.status).toBe(400);
      expect(response.headers.get('x-ratelimit-limit')).toBe('1000000');
    }
    const response = await bad();
    expect(response.status).toBe(429);
    const seconds = Number(response.headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(50);
    expect(seconds).toBeLessThanOrEqual(60);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'x-ratelimit-limit': '5',
      'x-ratelimit-remaining': '0',
      'ratelimit-policy': '"invalid";q=5;w=60',
    });
    expect(await response.json()).toMatchObject({
      status: 429,
      detail: expect.stringMatching(
        /^5 requests that cannot be served per 1 minute allowed for this/,
      ) as string,
      'violated-policies': ['invalid'],
      retry_after_seconds: seconds,
    });
    expect((await bad(`198.51.100.${randomInt(256)}`)).status).toBe(400);
  });

  test('is still served: good requests pass, and bad credentials are counted apart', async () => {
    for (let round = 0; round < 2 * allowed; round += 1) await bad();
    const call = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(gateway.proxyUrl, { headers: { 'x-forwarded-for': address, ...headers } })).status;
    expect(await call({})).toBe(200);
    const token = await tokenOf({ tenant_id: uniqueName('good') });
    expect(await call({ authorization: `Bearer ${token}` })).toBe(200);
    for (let round = 0; round < allowed; round += 1)
      expect(await call({ authorization: 'Bearer none' })).toBe(401);
    expect(await call({ authorization: 'Bearer none' })).toBe(429);
  });

  test('is read again when the Retry-After has passed, exactly', async () => {
    gateway.usePolicy({ ...policy, identity: identity.replace('window: 1m', 'window: 2s') });
    for (let round = 0; round < allowed; round += 1) expect((await bad()).status).toBe(400);
    const refused = await bad();
    const untilMs = performance.now() + Number(refused.headers.get('retry-after')) * 1000;
    expect(refused.status).toBe(429);
    await eventually(() => performance.now() >= untilMs, { intervalMs: 5 });
    expect((await bad()).status).toBe(400);
  });

  test('may be a service without such a limit: its unreadable requests are a 400, and are sampled', async () => {
    const before = await checks();
    const headers = { 'x-forwarded-for': address, 'x-service-token': serviceToken };
    for (let round = 0; round < total; round += 1)
      expect((await fetch(`${gateway.proxyUrl}/%zz`, { headers })).status).toBe(400);
    expect(await checks()).toBe(before);
  });
});

describe('requests refused by no limit of the caller cost no call of Redis, and their events are sampled', () => {
  /** At most 50 requests a second are written as full events; of the other requests, one in a hundred. */
  async function expectSampled(sent: number, startedAt: number): Promise<void> {
    const seconds = Math.ceil((performance.now() - startedAt) / 1000) + 1;
    const full = gateway.requests().filter(({ data }) => data.sample_weight === undefined);
    expect(full.length).toBeLessThanOrEqual(50 * seconds);
    expect(gateway.requests().length + (await metric(/^tollgate_events_sampled_out_total (\d+)$/m))).toBe(
      sent,
    );
  }

  test('connections beyond those of the listener', async () => {
    await gateway.close();
    gateway = await startGateway({ policy, upstream: upstream.url, bounds: { connectionsMax: 1 } });
    const held = await openRaw(gateway.proxyUrl);
    const before = await checks();
    const startedAt = performance.now();
    const answers = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const connection = await openRaw(gateway.proxyUrl);
        await connection.closed;
        return connection.responses()[0]?.status;
      }),
    );
    expect(new Set(answers)).toEqual(new Set([503]));
    expect(await checks()).toBe(before);
    await expectSampled(200, startedAt);
    held.destroy();
  });

  test('tokens that cannot be verified while their keys are away', async () => {
    const issuer = await startIssuer();
    await issuer.addKey('a');
    const token = await issuer.sign('a', { tenant_id: 'acme', exp: Math.floor(Date.now() / 1000) + 600 });
    await issuer.close();
    const jwt = `jwt: { algorithms: [ES256], jwks_url: "${issuer.url}" }, trusted_proxies: [127.0.0.0/8]`;
    gateway.usePolicy({ ...policy, identity: `{ ${jwt} }` });
    const headers = { 'x-forwarded-for': address, authorization: `Bearer ${token}` };
    const before = await checks();
    const startedAt = performance.now();
    for (let round = 0; round < 200; round += 1) {
      const response = await fetch(gateway.proxyUrl, { headers });
      expect(response.status).toBe(503);
      expect(response.headers.get('x-ratelimit-limit')).toBe('1000000');
    }
    expect(await checks()).toBe(before);
    await expectSampled(200, startedAt);
  });
});

test('events of many addresses at once are sampled and have weights', async () => {
  const startedAt = performance.now();
  for (let round = 0; round < 400; round += 1) {
    const headers = { 'x-forwarded-for': `198.18.${round >> 8}.${round & 255}` };
    expect((await fetch(`${gateway.proxyUrl}/%zz`, { headers })).status).toBe(400);
  }
  const seconds = Math.ceil((performance.now() - startedAt) / 1000) + 1;
  const full = gateway.requests().filter(({ data }) => data.sample_weight === undefined);
  expect(full.length).toBeLessThanOrEqual(50 * seconds);
  expect(gateway.requests().length + (await metric(/^tollgate_events_sampled_out_total (\d+)$/m))).toBe(400);
});
