import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listenEnvoy } from '../../../services/gateway/listeners/rls-listener.ts';
import type { EnvoyServer } from '../../../services/gateway/listeners/rls-listener.ts';
import { as, limitHeadersOf, startGateway, startUpstream } from '../../integration/gateway/gateway.ts';
import type { TestGateway, TestUpstream } from '../../integration/gateway/gateway.ts';
import { eventually, startRedis, uniqueName } from '../../support/servers.ts';
import { startEnvoy } from './envoy.ts';
import type { Envoy } from './envoy.ts';

const policy = {
  routes: '[{ match: POST /agent/chat, limits: [{ name: chat, per: tenant, limit: 3, window: 1m }] }]',
};

const generous = {
  plans: '\n  free: { limits: [{ name: minute, per: tenant, limit: 1000, window: 1m }] }',
};

let gateway: TestGateway;
let upstream: TestUpstream;
let grpc: EnvoyServer;

beforeAll(async () => {
  upstream = await startUpstream((_request, response) => response.end('served'));
  gateway = await startGateway({ policy });
  grpc = await listenEnvoy({
    enforcer: gateway.enforcer,
    host: '127.0.0.1',
    port: 0,
    rateLimitWaitMsMax: 3_000,
  });
});

afterAll(async () => {
  await grpc.close();
  await gateway.close();
  await upstream.close();
});

const tollgateOf = (file: string): string =>
  file === 'ext-authz-http.yaml' ? gateway.apiUrl : `127.0.0.1:${grpc.port}`;

describe.each(['ext-authz-grpc.yaml', 'ext-authz-http.yaml', 'rate-limit.yaml'])(
  'examples/envoy/%s',
  (file) => {
    let envoy: Envoy;
    beforeAll(async () => {
      envoy = await startEnvoy(file, { api: upstream.url, tollgate: tollgateOf(file) });
    });
    afterAll(() => envoy.stop());

    const chat = (headers: Record<string, string>): Promise<Response> =>
      fetch(`${envoy.url}/agent/chat?x=1`, { method: 'POST', headers, body: '{}' });

    test('A4, A5: three calls pass with their limit headers, the fourth is a complete 429', async () => {
      const headers = await as(uniqueName('acme'));
      for (const remaining of [2, 1, 0]) {
        const response = await chat(headers);
        expect(response.status).toBe(200);
        expect(limitHeadersOf(response)).toMatchObject({ limit: 3, remaining });
        expect(await response.text()).toBe('served');
      }
      const refused = await chat(headers);
      expect(refused.status).toBe(429);
      expect(limitHeadersOf(refused)).toMatchObject({ limit: 3, remaining: 0 });
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50);
      expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json/);
      expect(await refused.json()).toMatchObject({ status: 429, 'violated-policies': ['chat'] });
    });

    test('A2: no identity that the client claims reaches the API', async () => {
      const tenant = uniqueName('acme');
      const headers = await as(tenant);
      upstream.seen.length = 0;
      const claims = { 'x-tollgate-tenant': 'victim', 'x-tollgate-service': 'billing' };
      expect((await chat({ ...headers, ...claims })).status).toBe(200);
      const seen = upstream.seen[0]?.headers ?? {};
      const trusted = file === 'rate-limit.yaml' ? undefined : tenant;
      expect(seen['x-tollgate-tenant']).toBe(trusted);
      expect(seen['x-tollgate-service'] ?? '').toBe('');
      expect((await chat({ ...headers, X_Tollgate_Tenant: 'victim' })).status).toBe(400);
    });

    test.each(['/agent%2Fchat', '//agent/chat', '/x/../agent/chat', '/agent/%63hat', '/agent%5Cchat'])(
      'the target %s is charged to the route that the API serves, or refused',
      async (target) => {
        const headers = await as(uniqueName('acme'));
        const statuses: number[] = [];
        for (let call = 0; call < 5; call += 1) statuses.push(await rawStatus(envoy.url, target, headers));
        expect(statuses.filter((status) => status === 200).length).toBeLessThanOrEqual(3);
      },
    );

    test('A2: a bad token is refused before the API is reached', async () => {
      upstream.seen.length = 0;
      expect((await chat({ authorization: 'Bearer x' })).status).toBe(401);
      expect(upstream.seen).toEqual([]);
    });
  },
);

/** Outages in which the decision must be in time. A busy machine makes calls late, and no call early. */
const outagesInTime = 3;

test('D1: the call that finds Redis stopped is decided within the 20 ms that Envoy waits by default', async () => {
  const redis = await startRedis();
  const cutOff = await startGateway({ policy: generous, redisUrl: redis.url });
  const server = await listenEnvoy({
    enforcer: cutOff.enforcer,
    host: '127.0.0.1',
    port: 0,
    rateLimitWaitMsMax: 12,
  });
  const targets = { api: upstream.url, tollgate: `127.0.0.1:${server.port}` };
  const withDefaultTimeout = (config: string): string => config.replace(/^ +timeout: 0.2s$/m, '');
  const envoy = await startEnvoy('rate-limit.yaml', targets, withDefaultTimeout);
  try {
    const headers = await as(uniqueName('acme'));
    const call = async (): Promise<number> => (await fetch(`${envoy.url}/fine`, { headers })).status;
    const decided = (): Promise<number> => envoy.stat('cluster.api.ratelimit.ok');
    let inTime = 0;
    await eventually(
      async () => {
        await eventually(
          async () => (await call()) === 200 && cutOff.requests().at(-1)?.data.degraded === false,
        );
        const before = await decided();
        redis.pause();
        expect(await call()).toBe(200);
        inTime += (await decided()) - before;
        redis.resume();
        return inTime >= outagesInTime;
      },
      { timeoutMs: 120_000 },
    );
  } finally {
    redis.resume();
    await envoy.stop();
    await server.close();
    await cutOff.close();
    await redis.dispose();
  }
});

test.each([
  ['ext-authz-grpc.yaml', 'failure_mode_allow: false', 403],
  ['ext-authz-http.yaml', 'failure_mode_allow: false', 403],
  ['rate-limit.yaml', 'failure_mode_deny: false', 200],
])('without Tollgate %s behaves as its option configures (%s)', async (file, _option, status) => {
  const envoy = await startEnvoy(file, { api: upstream.url, tollgate: '127.0.0.1:1' });
  try {
    const headers = await as(uniqueName('acme'));
    expect((await fetch(`${envoy.url}/fine`, { headers })).status).toBe(status);
  } finally {
    await envoy.stop();
  }
});

/** Sends the request target unchanged, because fetch would normalize it. */
async function rawStatus(url: string, target: string, headers: Record<string, string>): Promise<number> {
  const { hostname, port } = new URL(url);
  const sent = httpRequest({ hostname, port, path: target, method: 'POST', headers });
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode ?? 0;
}
