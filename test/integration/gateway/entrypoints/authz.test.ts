import { request } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { uniqueName } from '../../../support/servers.ts';
import { as, limitHeadersOf, startGateway } from '../gateway.ts';
import type { TestGateway } from '../gateway.ts';

let gateway: TestGateway;
let caller: Record<string, string>;

beforeAll(async () => {
  gateway = await startGateway({
    policy: {
      plans: '{ free: { limits: [{ name: minute, per: tenant, limit: 50, window: 1m }] } }',
      routes: `
      - { match: POST /agent/chat, limits: [{ name: chat, per: user, limit: 10, window: 1m }] }
      - { match: GET /free }`,
    },
  });
});

afterAll(() => gateway.close());

beforeEach(async () => {
  gateway.events.length = 0;
  caller = await as(uniqueName('acme'));
});

type Fields = Record<string, string>;

const original: Fields = { 'x-original-method': 'POST', 'x-original-uri': '/agent/chat?x=1' };
const forwarded: Fields = { 'x-forwarded-method': 'POST', 'x-forwarded-uri': '/agent/chat?x=1' };
const authorize = (fields: Fields, query = ''): Promise<Response> =>
  fetch(`${gateway.apiUrl}/v1/authz${query}`, { headers: { ...caller, ...fields } });

async function statusesOf(times: number, fields: Fields, query: string): Promise<number[]> {
  const statuses: number[] = [];
  for (let i = 0; i < times; i += 1) statuses.push((await authorize(fields, query)).status);
  return statuses;
}

describe('Envoy checks any request of its client over HTTP', () => {
  test.each([
    ['POST', 'application/json', ''],
    ['POST', 'application/json', '{"cut":'],
    ['PUT', 'multipart/form-data; boundary=x', '--x'],
    ['PATCH', 'no type at all', 'any'],
    ['PROPFIND', 'text/xml', ''],
    ['PURGE', '', ''],
    ['QUERY', '', ''],
    ['QUERY', 'application/sql', 'select 1'],
  ])('%s of type %j with the body %j is decided about', async (method, type, body) => {
    const response = await request(`${gateway.apiUrl}/v1/ext-authz/free`, {
      method,
      headers: { ...caller, 'content-type': type, 'content-length': String(body.length) },
      ...(body === '' ? {} : { body }),
    });
    await response.body.dump();
    expect(response.statusCode).toBe(200);
    expect(gateway.requests()).toMatchObject([{ data: { method, path: '/free', entrypoint: 'ext_authz' } }]);
  });
});

describe('E3: a client cannot describe another request than the one that its proxy describes', () => {
  test.each([
    ['nginx', '?source=original', original],
    ['Caddy and Traefik', '?source=forwarded', forwarded],
    ['a proxy that names no source', '', original],
    ['a proxy that names no source', '', forwarded],
  ])('%s %s: ten calls pass, further ones do not', async (_proxy, query, fields) => {
    expect(await statusesOf(11, fields, query)).toEqual([...Array<number>(10).fill(200), 429]);
    expect(gateway.requests()[0]?.data).toMatchObject({
      method: 'POST',
      path: '/agent/chat',
      entrypoint: 'authz',
    });
  });

  test.each<[string, Fields, Fields]>([
    ['?source=forwarded', forwarded, { 'x-original-uri': '/free' }],
    ['?source=forwarded', forwarded, { 'x-original-method': 'GET' }],
    ['?source=forwarded', forwarded, { 'x-original-url': 'https://any.example/free' }],
    ['?source=original', original, { 'x-forwarded-uri': '/free' }],
    ['?source=original', original, { 'x-forwarded-method': 'GET' }],
    ['?source=original', original, { 'x-original-url': 'https://any.example/free' }],
    ['', forwarded, { 'x-original-uri': '/free' }],
    ['', forwarded, { 'x-original-method': 'GET', 'x-original-uri': '/free' }],
    ['', forwarded, { 'x-original-method': 'GET' }],
    ['', original, { 'x-forwarded-uri': '/agent%2Fchat' }],
    ['', original, { 'x-http-method-override': 'GET' }],
  ])('%s %o with %o of the client is refused and consumes nothing', async (query, fields, added) => {
    const response = await authorize({ ...fields, ...added }, query);
    expect(response.status).toBe(400);
    expect(limitHeadersOf(response)).toMatchObject({ limit: 50, remaining: 50 });
    expect(await response.json()).toMatchObject({
      detail: expect.stringMatching(/describe different requests|names another method/) as unknown,
    });
    expect(gateway.requests()).toMatchObject([{ data: { status: 400, limited_by: ['invalid'] } }]);
    const with403 = `${query === '' ? '?' : `${query}&`}refuse=403`;
    const refused = await authorize({ ...fields, ...added }, with403);
    expect(refused.status).toBe(403);
    expect(refused.headers.get('x-tollgate-status')).toBe('400');
  });

  test('the other family may describe the same request, as a full URL too', async () => {
    const both = { ...original, ...forwarded, 'x-original-url': 'https://any.example/agent/chat?x=1' };
    expect((await authorize(both, '?source=forwarded')).status).toBe(200);
    expect((await authorize(both)).status).toBe(200);
  });

  test('a named source without fields and an incomplete description are refused with the reason', async () => {
    const response = await authorize(original, '?source=forwarded');
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      detail: 'x-forwarded-method and x-forwarded-uri must describe the request.',
    });
    expect((await authorize({ 'x-original-uri': '/free' })).status).toBe(400);
    expect((await authorize(forwarded, '?source=other')).status).toBe(400);
  });

  test('a path that the proxy may forward unchanged is refused where its spelling decides about a limit', async () => {
    for (const path of [
      '//agent/chat',
      '/x/../agent/chat',
      '/agent%2Fchat',
      '/agent/chat;x',
      '/Agent/chat',
    ]) {
      expect((await authorize({ ...forwarded, 'x-forwarded-uri': path })).status, path).toBe(400);
    }
    expect((await authorize({ ...forwarded, 'x-forwarded-uri': '//other/./x' })).status).toBe(200);
  });
});

test('every response names the caller, with empty values for an anonymous one', async () => {
  const anonymous = await fetch(`${gateway.apiUrl}/v1/authz`, { headers: forwarded });
  const names = ['x-tollgate-tenant', 'x-tollgate-user', 'x-tollgate-service', 'x-tollgate-plan'];
  expect(names.map((name) => anonymous.headers.get(name))).toEqual(['', '', '', 'free']);
  const known = await authorize(forwarded);
  expect(known.headers.get('x-tollgate-user')).toBe('u1');
});
