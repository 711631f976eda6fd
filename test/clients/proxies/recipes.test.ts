import type { IncomingMessage } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createOpsServer } from '../../../shared/runtime/http/ops.ts';
import {
  as,
  limitHeadersOf,
  serviceToken,
  startGateway,
  startUpstream,
} from '../../integration/gateway/gateway.ts';
import type { TestGateway, TestUpstream } from '../../integration/gateway/gateway.ts';
import { rawRequest, sendRaw } from '../../integration/gateway/http/raw-request.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { startProxy } from './proxies.ts';
import type { ProxyName, ProxyTargets, RunningProxy } from './proxies.ts';

const policy = {
  plans: '{ free: { limits: [{ name: minute, per: tenant, limit: 1000, window: 1m }] } }',
  routes: `
  - { match: POST /agent/chat, limits: [{ name: chat, per: tenant, limit: 10, window: 1m }] }
  - { match: GET /free }`,
  services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
};

interface Running {
  readonly gateway: TestGateway;
  readonly targets: ProxyTargets;
  close(): Promise<void>;
}

let upstream: TestUpstream;

/** A gateway that a test may stop, and the address of its ops listener, which serves `/healthz`. */
async function startTollgate(): Promise<Running> {
  const gateway = await startGateway({ policy });
  const ops = createOpsServer({ registry: gateway.registry, unready: () => [] });
  const health = await ops.listen({ host: '127.0.0.1', port: 0 });
  return {
    gateway,
    targets: { api: hostOf(upstream.url), tollgate: hostOf(gateway.apiUrl), health: hostOf(health) },
    close: async () => {
      await ops.close();
      await gateway.close();
    },
  };
}

const hostOf = (url: string): string => new URL(url).host;

beforeAll(async () => {
  upstream = await startUpstream((request, response) => {
    response.setHeader('x-ratelimit-limit', '999');
    response.write('first');
    // The response to /slowly ends with its connection.
    if (request.url !== '/slowly') response.end(' last');
  });
});

afterAll(() => upstream.close());

const limitNames = [
  'x-ratelimit-limit',
  'x-ratelimit-remaining',
  'x-ratelimit-reset',
  'ratelimit',
  'ratelimit-policy',
  'x-tollgate-decision',
];

describe.each<ProxyName>(['nginx', 'caddy', 'traefik'])('examples/%s', (name) => {
  let tollgate: Running;
  let proxy: RunningProxy;

  beforeAll(async () => {
    tollgate = await startTollgate();
    proxy = await startProxy(name, tollgate.targets);
  });

  afterAll(async () => {
    await proxy.stop();
    await tollgate.close();
  });

  beforeEach(() => {
    upstream.seen.length = 0;
    tollgate.gateway.events.length = 0;
  });

  const chat = (headers: Record<string, string>): Promise<Response> =>
    fetch(`${proxy.url}/agent/chat?x=1`, { method: 'POST', headers, body: '{}' });

  test('A4, A5, E3: ten calls pass with every limit header, the eleventh is a complete 429', async () => {
    const headers = await as(uniqueName('acme'));
    for (let remaining = 9; remaining >= 0; remaining -= 1) {
      const response = await chat(headers);
      expect(response.status).toBe(200);
      expect(await response.text()).toBe('first last');
      expect(limitHeadersOf(response)).toMatchObject({ limit: 10, remaining });
      expect(response.headers.get('ratelimit')).toMatch(`"chat";r=${remaining};t=`);
      expect(limitNames.filter((field) => !response.headers.has(field))).toEqual([]);
    }
    const refused = await chat(headers);
    expect(refused.status).toBe(429);
    expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(limitNames.filter((field) => !refused.headers.has(field))).toEqual([]);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(40);
    expect(await refused.json()).toMatchObject({ status: 429, 'violated-policies': ['chat'] });
    expect(upstream.seen).toHaveLength(10);
    expect(upstream.seen[0]?.url).toBe('/agent/chat?x=1');
  });

  test('A5: an invalid token gets a complete 401', async () => {
    const response = await chat({ authorization: 'Bearer x' });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/);
    expect(limitNames.filter((field) => !response.headers.has(field))).toEqual([]);
    expect(await response.json()).toMatchObject({ status: 401 });
    expect(upstream.seen).toHaveLength(0);
  });

  test('A2: only Tollgate sets the identity headers that the API receives', async () => {
    const claims = [
      ...['X-Tollgate-Tenant', 'X-Tollgate-User', 'X-Tollgate-Service', 'X-Tollgate-Plan'],
      ...['X_Tollgate_Tenant', 'X-Tollgate_Tenant', 'X_Tollgate-User', 'X_Real_IP', 'X_Forwarded_For'],
      ...['X-Original-URL', 'X-Original-Host', 'X-Rewrite-URL', 'Forwarded', 'X-Real-IP', 'X-Forwarded-Uri'],
    ];
    const send = async (fields: readonly string[]): Promise<IncomingMessage['headers']> => {
      upstream.seen.length = 0;
      const lines = [...fields, ...claims.map((field) => `${field}: victim`)];
      await sendRaw(proxy.url, rawRequest('GET /free', lines));
      return upstream.seen[0]?.headers ?? {};
    };
    // The client sends forged values in the header fields by which the proxy describes the request to Tollgate. The
    // proxy refuses or drops some of them, and Tollgate replaces the other fields.
    const tenant = uniqueName('ac/me');
    const { authorization = '' } = await as(tenant);
    const identified = await send([`Authorization: ${authorization}`]);
    expect(Object.values(identified)).not.toContain('victim');
    expect(identified).toMatchObject({
      'x-tollgate-tenant': encodeURIComponent(tenant),
      'x-tollgate-user': 'u1',
    });
    const anonymous = await send([]);
    expect(Object.values(anonymous)).not.toContain('victim');
    expect(anonymous['x-tollgate-tenant'] ?? '').toBe('');
    const service = await send([`X-Service-Token: ${serviceToken}`]);
    expect(service['x-tollgate-service']).toBe('billing');
    expect(service['x-service-token']).toBeUndefined();
  });

  test.each([
    ['the limited target itself', 'POST /agent/chat', []],
    ['an absolute form', 'POST http://any.example/agent/chat', []],
    ['an escaped slash', 'POST /agent%2Fchat', []],
    ['escapes of plain characters', 'POST /%61gent/%63hat', []],
    ['doubled slashes', 'POST //agent//chat', []],
    ['dot segments', 'POST /x/../agent/./chat', []],
    ['parameters', 'POST /agent/chat;x=1', []],
    ['another letter case', 'POST /Agent/Chat', []],
    ['an escaped end', 'POST /agent/chat%00', []],
    ['a backslash', 'POST /agent\\chat', []],
    ['X-Original-URI', 'POST /agent/chat', ['X-Original-URI: /free']],
    ['X-Original-Method', 'POST /agent/chat', ['X-Original-Method: GET']],
    ['X-Original-URL', 'POST /agent/chat', ['X-Original-URL: http://any.example/free']],
    [
      'X-Original-URI and X-Original-Method',
      'POST /agent/chat',
      ['X-Original-URI: /free', 'X-Original-Method: GET'],
    ],
    ['X-Forwarded-Uri', 'POST /agent/chat', ['X-Forwarded-Uri: /free', 'X-Forwarded-Method: GET']],
    ['X_Original_URI', 'POST /agent/chat', ['X_Original_URI: /free', 'X_Forwarded_Uri: /free']],
    ['a named method', 'GET /agent/chat', ['X-HTTP-Method-Override: POST']],
  ])(
    'E3: of fourteen calls with %s no more than ten reach the API as a limited call',
    async (_what, line, fields) => {
      const { authorization = '' } = await as(uniqueName('acme'));
      const statuses: number[] = [];
      for (let i = 0; i < 14; i += 1) {
        const response = await sendRaw(
          proxy.url,
          rawRequest(line, [`Authorization: ${authorization}`, ...fields]),
        );
        statuses.push(response.status);
      }
      expect(new Set(statuses)).not.toContain(500);
      expect(upstream.seen.filter(mayBeLimited).length).toBeLessThanOrEqual(10);
      // Every call that reached the API was charged as the limited route.
      const charged = tollgate.gateway
        .requests()
        .filter(({ data }) => data.decision === 'allowed' && data.route === 'POST /agent/chat');
      expect(charged.length).toBe(upstream.seen.filter(mayBeLimited).length);
      if (line === 'POST /agent/chat' && fields.length === 0) expect(charged).toHaveLength(10);
    },
  );

  test('a client cannot set its own address', async () => {
    const headers = { 'x-forwarded-for': '203.0.113.9, 198.51.100.4', 'x-real-ip': '203.0.113.9' };
    expect((await fetch(`${proxy.url}/free`, { headers })).status).toBe(200);
    expect(tollgate.gateway.requests()[0]?.data.client_ip).toBe('127.0.0.1');
    expect(upstream.seen[0]?.headers['x-forwarded-for']).toBe('127.0.0.1');
  });

  test('a response is streamed through the proxy', async () => {
    const response = await fetch(`${proxy.url}/slowly`, { headers: await as(uniqueName('acme')) });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('first');
    await reader.cancel();
  });
});

/**
 * True if some server could interpret the request as a request to the limited route, because of the spelling of its
 * path or the method override field.
 */
function mayBeLimited({ url = '', method, headers }: IncomingMessage): boolean {
  const path = decodeURIComponent(url.split(/[?;]/, 1)[0] ?? '').replaceAll('\\', '/');
  const { pathname } = new URL(path.replaceAll(/\/+/g, '/'), 'http://api');
  const named = headers['x-http-method-override'] ?? method;
  return named === 'POST' && pathname.toLowerCase().replaceAll('\0', '') === '/agent/chat';
}

describe.each<ProxyName>(['nginx', 'caddy', 'traefik'])('examples/%s while Tollgate is down', (name) => {
  test.each([
    ['closed', 503],
    ['open', 200],
  ])('with the option %s the response to a request is a %d', async (option, status) => {
    const tollgate = await startTollgate();
    const proxy = await startProxy(name, tollgate.targets, { open: option === 'open' });
    try {
      const call = async (): Promise<number> => (await fetch(`${proxy.url}/free`)).status;
      expect(await call()).toBe(200);
      await tollgate.close();
      upstream.seen.length = 0;
      await eventually(async () => (await call()) === status);
      upstream.seen.length = 0;
      const claimed = await fetch(`${proxy.url}/free`, { headers: { 'x-tollgate-tenant': 'victim' } });
      expect(claimed.status).toBe(status);
      expect(upstream.seen).toHaveLength(option === 'open' ? 1 : 0);
      expect(upstream.seen[0]?.headers['x-tollgate-tenant'] ?? '').toBe('');
    } finally {
      await proxy.stop();
    }
  });
});
