import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { listenEnvoy } from '../../../../services/gateway/listeners/rls-listener.ts';
import { tollgate } from '../../../../services/gateway/entrypoints/plugin.ts';
import { createMiddleware } from '../../../../services/gateway/entrypoints/middleware/middleware.ts';
import { as, serviceToken, startGateway, startUpstream } from '../gateway.ts';
import type { TestGateway } from '../gateway.ts';
import { openRlsClient } from './rls-client.ts';
import type { RlsClient } from './rls-client.ts';

/** A request that every entrypoint can send. */
export interface Step {
  readonly tenant: 'a' | 'b' | 'blocked';
  readonly user: 'u1' | 'u2';
  readonly plan: 'free' | 'pro';
  readonly request: readonly [string, string];
  readonly address: string;
}

/** The parts of a response that must be equal at every entrypoint. */
export interface Observed {
  readonly passed: boolean;
  readonly limit: string | null;
  readonly remaining: string | null;
  readonly policy: string | null;
  readonly hasRetryAfter: boolean;
  readonly shouldRetry: string | null;
  readonly violated: unknown;
}

type Entrypoint = (tenant: string, step: Step) => Promise<Observed>;

export interface Entrypoints {
  readonly gateway: TestGateway;
  readonly rlsClient: RlsClient;
  /** Sends a request through an entrypoint, by name. */
  readonly send: Readonly<Record<string, Entrypoint>>;
  close(): Promise<void>;
}

/** The address of a client to which limits apply, and of one that the policies of tests exempt. */
export const addresses = { limited: '203.0.113.1', exempt: '198.51.100.7' } as const;

/** Starts all entrypoints over one enforcer. */
export async function openEntrypoints(policy: Readonly<Record<string, string>>): Promise<Entrypoints> {
  const upstream = await startUpstream((_request, response) => response.end('{}'));
  const gateway = await startGateway({ policy, upstream: upstream.url });
  const { enforcer, proxyUrl, apiUrl } = gateway;
  const rls = await listenEnvoy({ enforcer, host: '127.0.0.1', port: 0, rateLimitWaitMsMax: 3_000 });
  const rlsClient = openRlsClient(rls.port);
  const plugin = fastify();
  await plugin.register(tollgate, { enforcer });
  plugin.all('/*', () => ({}));
  await plugin.ready();
  const express = createServer();
  const middleware = createMiddleware({ enforcer });
  express.on('request', (request, response) => {
    middleware(
      request,
      response,
      () => void response.setHeader('content-type', 'application/json').end('{}'),
    );
  });
  await once(express.listen(0, '127.0.0.1'), 'listening');
  const expressUrl = `http://127.0.0.1:${(express.address() as AddressInfo).port}`;
  return {
    gateway,
    rlsClient,
    send: {
      proxy: (tenant, step) => throughServer(proxyUrl, tenant, step),
      plugin: (tenant, step) => throughPlugin(plugin, tenant, step),
      middleware: (tenant, step) => throughServer(expressUrl, tenant, step),
      check: (tenant, step) => throughCheck(apiUrl, tenant, step),
      authz: (tenant, step) => throughAuthz(apiUrl, tenant, step),
      rls: (tenant, step) => throughRls(rlsClient, tenant, step),
    },
    close: async () => {
      rlsClient.close();
      await rls.close();
      await plugin.close();
      express.close();
      await gateway.close();
      await upstream.close();
    },
  };
}

async function headersOf(tenant: string, { user, plan, address }: Step): Promise<Record<string, string>> {
  // The client may have written the first entry itself; only the last one comes from the trusted proxy.
  const forwarded = `${addresses.exempt}, ${address}`;
  return { ...(await as(tenant, { sub: user, plan })), 'x-forwarded-for': forwarded };
}

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

async function throughServer(url: string, tenant: string, step: Step): Promise<Observed> {
  const [method, path] = step.request;
  const response = await fetch(url + path, { method, headers: await headersOf(tenant, step) });
  const body = (await response.json()) as Record<string, unknown>;
  return observed(response.status === 200, (name) => response.headers.get(name), body['violated-policies']);
}

async function throughPlugin(plugin: FastifyInstance, tenant: string, step: Step): Promise<Observed> {
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
  apiUrl: string,
  tenant: string,
  { user, plan, address, request: [method, path] }: Step,
): Promise<Observed> {
  const response = await fetch(`${apiUrl}/v1/check`, {
    method: 'POST',
    headers: { 'x-service-token': serviceToken, 'content-type': 'application/json' },
    body: JSON.stringify({ tenant_id: tenant, user, plan, method, path, ip: address }),
  });
  const body = (await response.json()) as {
    allowed: boolean;
    headers: Record<string, string>;
    problem?: Record<string, unknown>;
  };
  return observed(body.allowed, (name) => body.headers[name], body.problem?.['violated-policies']);
}

async function throughAuthz(apiUrl: string, tenant: string, step: Step): Promise<Observed> {
  const [method, path] = step.request;
  const headers = { ...(await headersOf(tenant, step)), 'x-original-method': method, 'x-original-uri': path };
  const response = await fetch(`${apiUrl}/v1/authz`, { headers });
  const text = await response.text();
  const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  return observed(response.status === 200, (name) => response.headers.get(name), body['violated-policies']);
}

async function throughRls(
  rlsClient: RlsClient,
  tenant: string,
  { user, plan, address, request: [method, path] }: Step,
): Promise<Observed> {
  const entries = Object.entries({
    tenant_id: tenant,
    user,
    plan,
    method,
    path,
    remote_address: address,
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
