import type { IncomingHttpHeaders } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { uniqueName } from '../../../support/servers.ts';
import { as, serviceToken, startGateway, startUpstream } from '../gateway.ts';
import type { TestGateway, TestUpstream } from '../gateway.ts';
import { rawRequest, sendRaw } from './raw-request.ts';

const policy = {
  plans: '{ free: { limits: [{ name: minute, per: tenant, limit: 100, window: 1m }] } }',
  services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
};
const identity = (trusted: string): string =>
  `{ jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET }, trusted_proxies: [${trusted}] }`;
const behindProxy = { ...policy, identity: identity('127.0.0.0/8') };
const facingClients = { ...policy, identity: identity('10.0.0.0/8') };

let upstream: TestUpstream;
/** Listens on IPv4 and IPv6, so that the peer address of a client is `::ffff:127.0.0.1`. */
let gateway: TestGateway;

beforeAll(async () => {
  upstream = await startUpstream((_request, response) => response.end('served'));
  gateway = await startGateway({ policy: facingClients, upstream: upstream.url, host: '::' });
});

afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

beforeEach(() => {
  upstream.seen.length = 0;
  gateway.usePolicy(facingClients);
});

async function received(fields: readonly string[], line = 'GET /x'): Promise<IncomingHttpHeaders> {
  const { status } = await sendRaw(gateway.proxyUrl.replace('[::]', '127.0.0.1'), rawRequest(line, fields));
  expect(status).toBe(200);
  return upstream.seen.at(-1)?.headers ?? {};
}

const tollgateFields = {
  'x-tollgate-tenant': '',
  'x-tollgate-user': '',
  'x-tollgate-service': '',
  'x-tollgate-plan': 'free',
  'x-forwarded-for': '127.0.0.1',
  'x-forwarded-host': 'tollgate.example',
  'x-forwarded-proto': 'http',
  'x-real-ip': '127.0.0.1',
};

describe('F4: only Tollgate sets the identity and the address of a caller', () => {
  test('Tollgate replaces every identity and address header, and leaves the identity of an anonymous caller empty', async () => {
    const claims = Object.keys(tollgateFields).map((name) => `${name}: victim`);
    expect(await received(claims)).toMatchObject(tollgateFields);
    const tenant = uniqueName('ac/me');
    const { authorization = '' } = await as(tenant);
    expect(await received([...claims, `Authorization: ${authorization}`])).toMatchObject({
      ...tollgateFields,
      'x-tollgate-tenant': encodeURIComponent(tenant),
      'x-tollgate-user': 'u1',
    });
  });

  test.each([
    ['X_Tollgate_Tenant', 'X-Tollgate_Tenant', 'X_TOLLGATE-TENANT'],
    ['X_Forwarded_For', 'X_Real_IP', 'X_Api_Key', 'Remote_User'],
    ['SCRIPT_NAME', 'PATH_INFO', 'Transfer_Encoding', 'Content_Length', 'my_field'],
    ['Forwarded', 'X-Original-URL', 'X-Original-URI', 'X-Original-Method', 'X-Rewrite-URL'],
    ['X-Forwarded-Uri', 'X-Forwarded-Method', 'X-Forwarded-User', 'X-Forwarded-Port', 'X-Forwarded-Prefix'],
    [
      'True-Client-IP',
      'CF-Connecting-IP',
      'X-Client-IP',
      'X-Cluster-Client-IP',
      'Remote-User',
      'X-Remote-User',
    ],
    ['X-Auth-Request-Email', 'X-Forwarded-Client-Cert', 'X-Tollgate-Whatever'],
  ])('none of these reaches the upstream: %s, %s, %s …', async (...names) => {
    const got = await received(names.map((name) => `${name}: victim`));
    expect(got).toMatchObject(tollgateFields);
    expect(Object.values(got)).not.toContain('victim');
    // A trusted proxy may forward header fields of its clients without checking them, so these fields are dropped too.
    gateway.usePolicy(behindProxy);
    const alwaysDropped = names.filter((name) =>
      /_|^(Forwarded$|X-Original|X-Rewrite|X-Tollgate|X-Forwarded-(Uri|Meth))/i.test(name),
    );
    expect(Object.values(await received(alwaysDropped.map((name) => `${name}: victim`)))).not.toContain(
      'victim',
    );
  });

  test('a client of a listener on IPv4 and IPv6 is not a trusted proxy', async () => {
    const got = await received([
      'X-Forwarded-For: 203.0.113.9',
      'X-Forwarded-Host: bank.example',
      'X-Forwarded-Proto: https',
    ]);
    expect(got).toMatchObject(tollgateFields);
  });

  test('the verified part of a trusted proxy’s headers is forwarded, also on a listener on IPv4 and IPv6', async () => {
    gateway.usePolicy(behindProxy);
    const got = await received([
      'X-Forwarded-For: 198.51.100.1, 203.0.113.9, 127.0.0.7',
      'X-Forwarded-Host: api.example',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Port: 443',
      'X-Forwarded-Prefix: /v1',
      'X-Real-IP: 198.51.100.1',
    ]);
    expect(got).toMatchObject({
      'x-forwarded-for': '203.0.113.9, 127.0.0.7, 127.0.0.1',
      'x-forwarded-host': 'api.example',
      'x-forwarded-proto': 'https',
      'x-forwarded-port': '443',
      'x-forwarded-prefix': '/v1',
      'x-real-ip': '203.0.113.9',
    });
    expect(await received(['X-Forwarded-For: rubbish'])).toMatchObject({ 'x-forwarded-for': '127.0.0.1' });
  });

  test('x-forwarded-host is the host of an absolute-form target', async () => {
    expect(await received([], 'GET http://named.example:81/x')).toMatchObject({
      host: new URL(upstream.url).host,
      'x-forwarded-host': 'named.example:81',
    });
  });

  test('the upstream gets the name of a service, and not its token', async () => {
    const got = await received([`X-Service-Token: ${serviceToken}`, 'X-Tollgate-Service: other']);
    expect(got).toMatchObject({ 'x-tollgate-service': 'billing', 'x-tollgate-tenant': '' });
    expect(got['x-service-token']).toBeUndefined();
  });

  test('if the policy passes underscores, a name that an upstream could mistake for another field is still dropped', async () => {
    gateway.usePolicy({ ...facingClients, requests: '{ underscore_headers: pass }' });
    const got = await received([
      'my_field: mine',
      ...['X_Tollgate_Tenant', 'X_Api_Key', 'Script_Name', 'Content_Length', 'X_Client_IP'].map(
        (name) => `${name}: victim`,
      ),
    ]);
    expect(got['my_field']).toBe('mine');
    expect(Object.values(got)).not.toContain('victim');
  });
});
