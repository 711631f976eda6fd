import { fastify } from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { tollgate } from '../../../../services/gateway/entrypoints/plugin.ts';
import { uniqueName } from '../../../support/servers.ts';
import { as, limitHeadersOf, serviceToken, startGateway, startUpstream } from '../gateway.ts';
import type { TestGateway, TestUpstream } from '../gateway.ts';
import { rawRequest, sendRaw } from './raw-request.ts';
import type { RawText } from './raw-request.ts';

const policy = {
  plans: '{ free: { limits: [{ name: minute, per: tenant, limit: 100, window: 1m }] } }',
  routes: `
  - { match: POST /agent/chat, limits: [{ name: chat, per: user, limit: 10, window: 1m }], price: 0.5 }
  - { match: DELETE /agent/chat, limits: [{ name: deletions, per: user, limit: 1, window: 1m }] }
  - { match: GET /files/**, limits: [{ name: files, per: user, limit: 20, window: 1m }] }`,
  services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
};

let upstream: TestUpstream;
let gateway: TestGateway;
let fields: string[];

beforeAll(async () => {
  upstream = await startUpstream((_request, response) => response.end('served'));
  gateway = await startGateway({ policy, upstream: upstream.url });
});

afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

beforeEach(async () => {
  upstream.seen.length = 0;
  gateway.events.length = 0;
  gateway.usePolicy(policy);
  const { authorization = '' } = await as(uniqueName('acme'));
  fields = [`Authorization: ${authorization}`];
});

const send = (line: string, more: readonly string[] = []): Promise<RawText> =>
  sendRaw(gateway.proxyUrl, rawRequest(line, [...fields, ...more]));

async function statusesOf(times: number, line: string, more: readonly string[] = []): Promise<number[]> {
  const statuses: number[] = [];
  for (let i = 0; i < times; i += 1) statuses.push((await send(line, more)).status);
  return statuses;
}

const tenThenRefused = [...Array<number>(10).fill(200), 429, 429, 429, 429];

describe('F4: the target is read once: the target of the decision is the one that is forwarded and stored', () => {
  test('an absolute-form target is limited by its path, and never selects the host of the upstream', async () => {
    expect(await statusesOf(14, 'POST http://any.example/agent/chat?x=1')).toEqual(tenThenRefused);
    expect(upstream.seen).toHaveLength(10);
    expect(upstream.seen[0]?.url).toBe('/agent/chat?x=1');
    expect(upstream.seen[0]?.headers.host).toBe(new URL(upstream.url).host);
    expect(gateway.requests()[0]?.data).toMatchObject({
      path: '/agent/chat',
      route: 'POST /agent/chat',
      cost: 0.5,
    });
  });

  test.each([
    ['//agent//chat', '/agent/chat'],
    ['/x/../agent/./chat', '/agent/chat'],
    ['/%61gent/%63hat', '/agent/chat'],
    ['/a%2e%2e/x%7e|%c3%a9', '/a../x~%7C%C3%A9'],
    ['/agent/chat/', '/agent/chat/'],
  ])('%s is forwarded and stored as %s', async (written, normal) => {
    expect((await send(`POST ${written}?a=%2f//../`)).status).toBe(200);
    expect(upstream.seen[0]?.url).toBe(`${normal}?a=%2f//../`);
    expect(gateway.requests()[0]?.data.path).toBe(normal);
  });

  test.each([
    '/agent%2Fchat',
    '/agent%5Cchat',
    '/agent\\chat',
    '/agent/chat%00',
    '/agent/chat#x',
    '/agent/chat;x=1',
    '/x/..;/agent/chat',
    '/agent/chat%253Bx',
    '/agent%252fchat',
    '/Agent/Chat',
    'http://user@any.example/agent/chat',
    'ftp://any.example/agent/chat',
  ])('a target that servers read differently is a 400 and reaches no upstream: %s', async (path) => {
    const { status, head, body } = await send(`POST ${path}`);
    expect(status).toBe(400);
    expect(head).toMatch(/x-ratelimit-limit: 100\r\n[^]*ratelimit-policy: /);
    expect(JSON.parse(body)).toMatchObject({ status: 400, detail: expect.stringMatching(/\.$/) as unknown });
    expect(upstream.seen).toHaveLength(0);
    expect(gateway.requests()).toMatchObject([{ data: { status: 400, limited_by: ['invalid'], units: 1 } }]);
  });

  test('an ambiguous target of a service is a 400 too, although no limit applies to services', async () => {
    fields = [`X-Service-Token: ${serviceToken}`];
    expect((await send('POST /agent%2Fchat')).status).toBe(400);
    expect((await send('POST //agent/chat')).status).toBe(200);
    expect(upstream.seen.map(({ url }) => url)).toEqual(['/agent/chat']);
  });

  test('a policy states how its upstream reads targets, and Tollgate reads them in the same way', async () => {
    gateway.usePolicy({
      ...policy,
      requests: '{ encoded_slash: text, parameters: text, double_slash: keep }',
    });
    expect((await send('POST /files%2fa;b//c')).status).toBe(200);
    expect(upstream.seen[0]?.url).toBe('/files%2Fa;b//c');
    expect(gateway.requests()[0]?.data).toMatchObject({ path: '/files%2Fa;b//c', route: '*' });
    gateway.usePolicy({ ...policy, requests: '{ parameters: strip, letter_case: insensitive }' });
    expect(await statusesOf(14, 'POST /Agent;x=1/chat')).toEqual(tenThenRefused);
    expect(upstream.seen.at(-1)?.url).toBe('/Agent;x=1/chat');
  });

  test('OPTIONS * concerns the gateway itself: it gets a 204, and is counted', async () => {
    const { status, head } = await send('OPTIONS *');
    expect(status).toBe(204);
    expect(head).toMatch(/x-ratelimit-remaining: 99/);
    expect((await send('GET *')).status).toBe(400);
    expect(upstream.seen).toHaveLength(0);
    expect(gateway.requests().map(({ data }) => [data.method, data.path, data.status])).toEqual([
      ['OPTIONS', '*', 204],
      ['GET', '', 400],
    ]);
  });
});

describe('F4: the method is read once', () => {
  test('a field that names another method is a 400, and one that names the same method has no effect', async () => {
    const { status, body } = await send('POST /agent/chat', ['X-HTTP-Method-Override: DELETE']);
    expect(status).toBe(400);
    expect(body).toMatch(/names another method/);
    expect((await send('POST /agent/chat', ['X-HTTP-Method: POST'])).status).toBe(200);
    expect(upstream.seen).toHaveLength(1);
  });

  test('if the upstream honours the field, the method that it names is limited', async () => {
    gateway.usePolicy({ ...policy, requests: '{ method_override: honour }' });
    expect(await statusesOf(3, 'POST /agent/chat', ['X-HTTP-Method-Override: DELETE'])).toEqual([
      200, 429, 429,
    ]);
    expect(gateway.requests()[0]?.data).toMatchObject({ method: 'DELETE', route: 'DELETE /agent/chat' });
  });
});

describe('F4: the plugin reads targets as the proxy does', () => {
  test('a target that the router of Fastify reads differently is a 400, and others are served', async () => {
    const app = fastify();
    await app.register(tollgate, { enforcer: gateway.enforcer });
    app.all('/*', (request) => ({ url: request.url }));
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    const call = (target: string): Promise<RawText> =>
      sendRaw(url, rawRequest(`GET ${target}`, [...fields, 'Accept: application/json']));
    for (const target of ['/files/one?x=1', 'http://any.example/files/one', '/other/%2e%2e/free']) {
      expect((await call(target)).status, target).toBe(200);
    }
    for (const target of [
      '/files/../free',
      '/files/one/../../free',
      '//files/one',
      '/x/../files/one',
      '/files%2Fone',
    ]) {
      const { status, head } = await call(target);
      expect(status, target).toBe(400);
      expect(head).toMatch(/x-ratelimit-limit: \d/);
    }
    await app.close();
  });
});

test('F4: check decides about the target as the client sent it', async () => {
  const check = async (path: string): Promise<Record<string, unknown>> => {
    const response = await fetch(`${gateway.apiUrl}/v1/check`, {
      method: 'POST',
      headers: { 'x-service-token': serviceToken, 'content-type': 'application/json' },
      body: JSON.stringify({ tenant_id: 'acme', method: 'POST', path }),
    });
    expect(limitHeadersOf(response).limit).toBeGreaterThan(0);
    return (await response.json()) as Record<string, unknown>;
  };
  expect(await check('http://any.example/agent/chat')).toMatchObject({ limits: [{}, { name: 'chat' }] });
  expect(await check('/café')).toMatchObject({ allowed: true });
  expect(await check('/agent%2Fchat')).toMatchObject({
    allowed: false,
    problem: { status: 400, detail: expect.stringContaining('escaped slash') as unknown },
  });
  expect(gateway.requests().map(({ data }) => [data.path, data.status])).toEqual([
    ['/agent/chat', 200],
    ['/caf%C3%A9', 200],
    ['/agent%2Fchat', 400],
  ]);
});
