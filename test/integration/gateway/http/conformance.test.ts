import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { fastify } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listenEnvoy } from '../../../../services/gateway/listeners/rls-listener.ts';
import type { EnvoyServer } from '../../../../services/gateway/listeners/rls-listener.ts';
import { tollgate } from '../../../../services/gateway/entrypoints/plugin.ts';
import { createMiddleware } from '../../../../services/gateway/entrypoints/middleware/middleware.ts';
import { uniqueName } from '../../../support/servers.ts';
import { as, serviceToken, startGateway, startUpstream } from '../gateway.ts';
import type { TestGateway, TestUpstream } from '../gateway.ts';
import { openRlsClient } from './rls-client.ts';
import type { RlsClient } from './rls-client.ts';

/**
 * Every entrypoint receives the same sequence of requests, for tenants of its own, and must return the same decisions.
 */
const policy = {
  plans: `
  free: { limits: [{ name: minute, per: tenant, limit: 6, window: 1m, burst: 2 }, { name: day, per: tenant, limit: 9, window: 1d, type: quota }] }
  pro: { limits: [{ name: minute, per: tenant, limit: 12, window: 1m }] }`,
  routes: `
  - { match: POST /chat, limits: [{ name: chat, per: user, limit: 3, window: 1m }] }
  - { match: "* /heavy/*", cost: 4 }
  - { match: GET /watched/**, limits: [{ name: watched, per: [tenant, user], limit: 1, window: 1m, mode: shadow }] }
  - { match: GET /impossible, cost: 100 }`,
  services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
};

interface Step {
  readonly tenant: 'a' | 'b' | 'blocked';
  readonly user: 'u1' | 'u2';
  readonly plan: 'free' | 'pro';
  readonly request: readonly [string, string];
}

/** The parts of a response that must be equal at every entrypoint. */
interface Observed {
  readonly passed: boolean;
  readonly limit: string | null;
  readonly remaining: string | null;
  readonly policy: string | null;
  readonly hasRetryAfter: boolean;
  readonly shouldRetry: string | null;
  readonly violated: unknown;
}

type Entrypoint = (tenant: string, step: Step) => Promise<Observed>;

let gateway: TestGateway;
let upstream: TestUpstream;
let rls: EnvoyServer;
let rlsClient: RlsClient;
let entrypoints: Record<string, Entrypoint>;
const plugin = fastify();
const express = createServer();
let expressUrl: string;

beforeAll(async () => {
  upstream = await startUpstream((_request, response) => response.end('{}'));
  gateway = await startGateway({ policy, upstream: upstream.url });
  rls = await listenEnvoy({
    enforcer: gateway.enforcer,
    host: '127.0.0.1',
    port: 0,
    rateLimitWaitMsMax: 3_000,
  });
  rlsClient = openRlsClient(rls.port);
  await plugin.register(tollgate, { enforcer: gateway.enforcer });
  plugin.all('/*', () => ({}));
  await plugin.ready();
  const middleware = createMiddleware({ enforcer: gateway.enforcer });
  express.on('request', (request, response) => {
    middleware(
      request,
      response,
      () => void response.setHeader('content-type', 'application/json').end('{}'),
    );
  });
  await once(express.listen(0, '127.0.0.1'), 'listening');
  expressUrl = `http://127.0.0.1:${(express.address() as AddressInfo).port}`;
  entrypoints = {
    proxy: throughProxy,
    plugin: throughPlugin,
    middleware: throughMiddleware,
    check: throughCheck,
    authz: throughAuthz,
    rls: throughRls,
  };
});

afterAll(async () => {
  rlsClient.close();
  await rls.close();
  await plugin.close();
  express.close();
  await gateway.close();
  await upstream.close();
});

const headersOf = (tenant: string, { user, plan }: Step): Promise<Record<string, string>> =>
  as(tenant, { sub: user, plan });

function observed(
  passed: boolean,
  header: (name: string) => string | null | undefined,
  violated: unknown,
): Observed {
  const get = (name: string): string | null => header(name) ?? null;
  return {
    passed,
    limit: get('x-ratelimit-limit'),
    remaining: get('x-ratelimit-remaining'),
    policy: get('ratelimit-policy'),
    hasRetryAfter: get('retry-after') !== null,
    shouldRetry: get('x-should-retry'),
    violated: violated ?? null,
  };
}

function throughProxy(tenant: string, step: Step): Promise<Observed> {
  return throughServer(gateway.proxyUrl, tenant, step);
}

function throughMiddleware(tenant: string, step: Step): Promise<Observed> {
  return throughServer(expressUrl, tenant, step);
}

async function throughServer(url: string, tenant: string, step: Step): Promise<Observed> {
  const [method, path] = step.request;
  const response = await fetch(url + path, { method, headers: await headersOf(tenant, step) });
  const body = (await response.json()) as Record<string, unknown>;
  return observed(response.status === 200, (name) => response.headers.get(name), body['violated-policies']);
}

async function throughPlugin(tenant: string, step: Step): Promise<Observed> {
  const [method, url] = step.request;
  const response = await plugin.inject({
    method: method as 'GET',
    url,
    headers: await headersOf(tenant, step),
  });
  const body = response.json<Record<string, unknown>>();
  return observed(
    response.statusCode === 200,
    (name) => response.headers[name] as string | undefined,
    body['violated-policies'],
  );
}

async function throughCheck(
  tenant: string,
  { user, plan, request: [method, path] }: Step,
): Promise<Observed> {
  const response = await fetch(`${gateway.apiUrl}/v1/check`, {
    method: 'POST',
    headers: { 'x-service-token': serviceToken, 'content-type': 'application/json' },
    body: JSON.stringify({ tenant_id: tenant, user, plan, method, path }),
  });
  const body = (await response.json()) as {
    allowed: boolean;
    headers: Record<string, string>;
    problem?: Record<string, unknown>;
  };
  return observed(body.allowed, (name) => body.headers[name], body.problem?.['violated-policies']);
}

async function throughAuthz(tenant: string, step: Step): Promise<Observed> {
  const [method, path] = step.request;
  const headers = { ...(await headersOf(tenant, step)), 'x-original-method': method, 'x-original-uri': path };
  const response = await fetch(`${gateway.apiUrl}/v1/authz`, { headers });
  const text = await response.text();
  const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  return observed(response.status === 200, (name) => response.headers.get(name), body['violated-policies']);
}

async function throughRls(tenant: string, { user, plan, request: [method, path] }: Step): Promise<Observed> {
  const entries = Object.entries({
    tenant_id: tenant,
    user,
    plan,
    method,
    path,
    remote_address: '203.0.113.1',
  });
  const response = await rlsClient.shouldRateLimit({
    domain: 'api',
    descriptors: [{ entries: entries.map(([key, value]) => ({ key, value })) }],
  });
  const header = (name: string): string | undefined =>
    response.response_headers_to_add.find(({ key }) => key === name)?.value;
  const body =
    response.raw_body.length === 0
      ? {}
      : (JSON.parse(response.raw_body.toString()) as Record<string, unknown>);
  return observed(response.overall_code === 'OK', header, body['violated-policies']);
}

const step: fc.Arbitrary<Step> = fc.record({
  tenant: fc.constantFrom('a', 'a', 'a', 'b', 'blocked'),
  user: fc.constantFrom('u1', 'u2'),
  plan: fc.constantFrom('free', 'free', 'free', 'pro'),
  request: fc.constantFrom<[string, string][]>(
    ['GET', '/'],
    ['POST', '/chat'],
    ['PUT', '/heavy/x'],
    ['GET', '/watched/a/b'],
    ['GET', '/impossible'],
    ['POST', '/%63hat?q=1'],
  ),
});

describe('one enforcer behind every entrypoint', () => {
  test('the same sequence of requests is decided the same through proxy, plugin, middleware, check, authz and rls', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 14 }), async (steps) => {
        const name = uniqueName('run');
        const transcripts = await Promise.all(
          Object.entries(entrypoints).map(async ([entrypoint, send]) => {
            const blocked = `${name}-${entrypoint}-blocked`;
            gateway.records.set(blocked, {
              tenant_id: blocked,
              block: { until: null, reason: '', actor: 'ops' },
              updated_at: '',
              updated_by: '',
            });
            const transcript: Observed[] = [];
            for (const one of steps) transcript.push(await send(`${name}-${entrypoint}-${one.tenant}`, one));
            return transcript;
          }),
        );
        const [first, ...others] = transcripts;
        for (const other of others) expect(other).toEqual(first);
      }),
      { numRuns: 12, seed: 20_261_121, endOnFailure: true },
    );
  });

  test('events of every entrypoint differ in the field entrypoint only', () => {
    const byEntrypoint = Map.groupBy(gateway.requests(), ({ data }) => data.entrypoint);
    const outcomes = (entrypoint: string): string[] =>
      (byEntrypoint.get(entrypoint) ?? [])
        .map(({ data }) =>
          [data.decision, data.limited_by, data.route, data.plan, data.units, data.user_id].join(' '),
        )
        .sort();
    for (const entrypoint of Object.keys(entrypoints))
      expect(outcomes(entrypoint)).toEqual(outcomes('proxy'));
    expect(outcomes('proxy').length).toBeGreaterThan(90);
  });
});

describe('Envoy', () => {
  test('every descriptor of a call has a status; hits_addend is the cost', async () => {
    const tenant = uniqueName('envoy');
    const entries = [[{ key: 'tenant', value: tenant }], [{ key: 'path', value: '/' }]].map((list) => ({
      entries: list,
    }));
    const response = await rlsClient.shouldRateLimit({ domain: 'api', descriptors: entries, hits_addend: 5 });
    expect(response).toMatchObject({
      overall_code: 'OK',
      statuses: [
        {
          code: 'OK',
          limit_remaining: 1,
          current_limit: { name: 'minute', requests_per_unit: 6, unit: 'MINUTE' },
        },
        { code: 'OK' },
      ],
    });
  });

  test('a call without a tenant, a user or an address is an error and not allowed', async () => {
    await expect(
      rlsClient.shouldRateLimit({ domain: 'api', descriptors: [{ entries: [{ key: 'path', value: '/' }] }] }),
    ).rejects.toThrow(/INVALID_ARGUMENT/);
    const long = { entries: [{ key: 'tenant', value: 'x'.repeat(300) }] };
    await expect(rlsClient.shouldRateLimit({ domain: 'api', descriptors: [long] })).rejects.toThrow(
      /longer than 256/,
    );
  });
});
