import { createHash } from 'node:crypto';
import { SignJWT } from 'jose';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { roles } from '../../../shared/domain/operators/operator.ts';
import { createTokens } from '../../../shared/sessions/tokens.ts';
import type { Tokens } from '../../../shared/sessions/tokens.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { listenOps } from '../../../shared/runtime/http/ops.ts';
import { uniqueName } from '../../support/servers.ts';
import { get } from '../console/browser.ts';
import { adminToken, createFixture, operatorTokens, portalSecret } from '../console/fixture.ts';
import type { Fixture } from '../console/fixture.ts';
import { serviceToken, startGateway, startUpstream, tokenOf } from '../gateway/gateway.ts';
import type { TestGateway, TestUpstream } from '../gateway/gateway.ts';
import { operatorCookie, opensFor, portalCookie, roleCookie } from './cookies.ts';
import { consoleSamples } from './console-routes.ts';
import { adminSamples, apiSamples, gatewaySamples, opsSamples } from './routes.ts';
import { spellings } from './spellings.ts';
import { overrides, walk } from './walk.ts';
import type { Credential, Listener } from './walk.ts';

const tenantId = uniqueName('acme');
const apiKey = `tgk_${uniqueName('key')}`;
/** Names of the session credentials in the table of routes. */
const [portalSession, operatorSession] = ['portal session', 'operator session'];

let fixture: Fixture;
let upstream: TestUpstream;
let gateway: TestGateway;

beforeAll(async () => {
  fixture = await createFixture();
  upstream = await startUpstream((_request, response) => response.end('{}'));
  gateway = await startGateway({
    policy: {
      api: '{ requests: { limit: 1000000, window: 1m } }',
      plans: '{ free: { limits: [{ name: minute, per: tenant, limit: 1000000, window: 1m }] } }',
      sessions: '{ widget: { per: tenant, limit: 1000000, ttl: 60s } }',
      services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
    },
    upstream: upstream.url,
  });
  const hash = createHash('sha256').update(apiKey).digest('hex');
  const record = {
    tenant_id: tenantId,
    api_keys_sha256: [hash],
    updated_at: '2026-01-01T00:00:00Z',
    updated_by: 'test',
  };
  gateway.records.set(tenantId, record);
  await fixture.directory.put(record);
});

afterAll(async () => {
  await Promise.all([fixture.dispose(), gateway.close()]);
  await upstream.close();
});

const bearer = (token: string): { authorization: string } => ({ authorization: `Bearer ${token}` });

/** Headers of the valid and invalid credentials of the API. */
async function apiCredentials(): Promise<Credential[]> {
  const claims = { tenant_id: tenantId, sub: 'u1' };
  const good = await tokenOf(claims);
  const signedBy = (secret: string): Promise<string> =>
    new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(secret));
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${good.split('.')[1] ?? ''}.`;
  const opens = ['credential'] as const;
  const bad = (name: string, token: string): Credential => ({
    name,
    headers: bearer(token),
    opens: [],
    bad: true,
  });
  return [
    { name: 'none', headers: {}, opens: [] },
    { name: 'a JWT', headers: bearer(good), opens },
    { name: 'an API key', headers: { 'x-api-key': apiKey }, opens },
    { name: 'a service token', headers: { 'x-service-token': serviceToken }, opens },
    { name: 'another tenant’s', headers: bearer(await tokenOf({ tenant_id: uniqueName('globex') })), opens },
    bad('an expired JWT', await tokenOf(claims, -60)),
    bad('a forged JWT', await signedBy('another secret of 32 characters!')),
    bad('an unsigned JWT', unsigned),
    bad('an unknown API key', 'tgk_0123456789'),
    bad('the admin token', adminToken),
    { name: 'an unknown service token', headers: { 'x-service-token': adminToken }, opens: [], bad: true },
    {
      name: 'a cookie',
      headers: { cookie: `tollgate_portal=${good}; tollgate_operator=${adminToken}` },
      opens: [],
    },
  ];
}

async function sessionCredentials(): Promise<Credential[]> {
  const { tokens } = fixture;
  const forger = createTokens('another-portal-secret', adminToken, systemClock);
  const formerly = createTokens(portalSecret, 'the-former-admin-token', systemClock);
  const cookie = (name: string, cookies: string[], opens: Credential['opens'] = []): Credential => ({
    name,
    headers: { cookie: cookies.join('; ') },
    opens,
  });
  const both = async (by: Tokens, ttlMs?: number): Promise<string[]> => [
    await portalCookie(by, tenantId, ttlMs),
    await operatorCookie(by, ttlMs),
  ];
  const [portal = '', operator = ''] = await both(tokens);
  const link = await fixture.link(tenantId, 600_000);
  const viewer = await operatorCookie(tokens, 600_000, { via: 'oidc', role: 'viewer' });
  const left = await operatorCookie(tokens, 600_000, { via: 'token', tokenSha256: 'ab'.repeat(32) });
  return [
    { name: 'none', headers: {}, opens: [] },
    cookie(portalSession, [portal], ['portal-session']),
    cookie('another tenant’s', [await portalCookie(tokens, uniqueName('globex'))], ['portal-session']),
    cookie(operatorSession, [operator], opensFor('operator-session', 'admin')),
    ...[
      cookie(
        'a support session',
        [await roleCookie(fixture.consoleApp, 'support')],
        opensFor('operator-session', 'support'),
      ),
      cookie(
        'a viewer session',
        [await roleCookie(fixture.consoleApp, 'viewer')],
        opensFor('operator-session', 'viewer'),
      ),
      cookie('a session of an OpenID provider', [viewer], opensFor('operator-session', 'viewer')),
      cookie('a session of a token that left the file', [left]),
    ].map((one) => ({ ...one, plain: true })),
    cookie('expired sessions', await both(tokens, -1000)),
    cookie('forged sessions', await both(forger)),
    cookie('ended sessions', await endedSessions()),
    cookie('an operator session of the former token', [await operatorCookie(formerly)]),
    cookie('sessions in each other’s cookies', [
      operator.replace('operator', 'portal'),
      portal.replace('portal', 'operator'),
    ]),
    cookie('a link as sessions', [`tollgate_portal=${link}`, `tollgate_operator=${link}`]),
    {
      name: 'the admin token and an API key',
      headers: { ...bearer(adminToken), 'x-api-key': apiKey },
      opens: [],
    },
  ];
}

/** Cookies of signed-out sessions. */
async function endedSessions(): Promise<string[]> {
  const cookies = [await portalCookie(fixture.tokens, tenantId), await operatorCookie(fixture.tokens)];
  for (const url of ['/sign-out', '/operator/sign-out'])
    await fixture.consoleApp.inject({ method: 'POST', url, headers: { cookie: cookies.join('; ') } });
  return cookies;
}

/** Credentials of the console and of the API must give no access to the admin listener. */
async function adminCredentials(): Promise<Credential[]> {
  const others = [...(await apiCredentials()), ...(await sessionCredentials())];
  return [
    { name: 'the right token', headers: bearer(adminToken), opens: opensFor('operator-token', 'admin') },
    ...roles.map((role) => ({
      name: `the token of an operator, ${role}`,
      headers: bearer(operatorTokens[role]),
      opens: opensFor('operator-token', role),
      plain: true,
    })),
    { name: 'a wrong token', headers: bearer(`${adminToken}x`), opens: [] },
    { name: 'the token in another scheme', headers: { authorization: `Basic ${adminToken}` }, opens: [] },
    {
      name: 'the token in another header',
      headers: { 'x-api-key': adminToken, cookie: `tollgate_operator=${adminToken}` },
      opens: [],
    },
    ...others
      .filter(({ headers }) => headers['authorization'] !== bearer(adminToken).authorization)
      .map(({ name, headers }) => ({ name, headers, opens: [] })),
  ];
}

/** Spellings of a path, and headers that override its method or path, which servers interpret differently. */
const unclear = [
  'a fragment',
  'a NUL behind the first segment',
  'an encoded slash',
  'a backslash',
  ...overrides,
];
/** Spellings of the ext-authz prefix; it has one valid spelling, so that the path behind it is unambiguous. */
const behindPrefix = [
  ...spellings.filter(({ name }) => /encoded|absolute/.test(name)).map(({ name }) => name),
  ...unclear,
].filter((name) => spellings.find((one) => one.name === name)?.same !== false);

const listeners: readonly (readonly [string, () => Promise<Omit<Listener, 'name'>>])[] = [
  [
    'admin',
    async () => ({
      app: fixture.adminApp,
      samples: adminSamples,
      credentials: await adminCredentials(),
      contentType: 'application/json',
      denied: ({ opens }) => (opens.length > 0 ? 403 : 401),
      unmatched: ({ opens }) => (opens.length > 0 ? 404 : 401),
    }),
  ],
  [
    'console',
    async () => ({
      app: fixture.consoleApp,
      samples: consoleSamples(apiKey),
      credentials: await sessionCredentials(),
      contentType: 'application/x-www-form-urlencoded',
      denied: ({ opens }, access) =>
        access.startsWith('operator-session') && opens.includes('operator-session:viewer') ? 403 : 303,
      unmatched: () => 404,
    }),
  ],
  [
    'api',
    async () => ({
      app: gateway.api,
      samples: apiSamples(tenantId),
      credentials: await apiCredentials(),
      contentType: 'application/json',
      headers: { 'x-original-method': 'GET', 'x-original-uri': '/' },
      refused: ({ url, access }, what) => {
        if (url.startsWith('/v1/ext-authz')) return behindPrefix.includes(what) ? 400 : null;
        return access === 'decision' && overrides.includes(what) ? 400 : null;
      },
      denied: () => 401,
      unmatched: () => 404,
    }),
  ],
  [
    'gateway',
    async () => ({
      app: gateway.proxy,
      samples: gatewaySamples,
      credentials: await apiCredentials(),
      contentType: 'application/json',
      refused: ({ method }, what) => (method === 'TRACE' ? 405 : unclear.includes(what) ? 400 : null),
      denied: () => 401,
      unmatched: ({ bad }) => (bad === true ? 401 : 200),
    }),
  ],
  [
    'ops',
    async () => ({
      app: await listenOps('127.0.0.1', 0, { registry: new Registry(), unready: () => [] }),
      samples: opsSamples,
      credentials: await adminCredentials(),
      contentType: 'application/json',
      denied: () => 401,
      unmatched: () => 404,
    }),
  ],
];

describe('every route × every spelling of its target × every credential', () => {
  test.each(listeners)(
    'of the %s listener answers as the table says',
    async (name, start) => {
      const { routes, cells, wrong } = await walk({ name, ...(await start()) });
      console.log(`${name}: ${routes} routes, ${cells} cells`);
      expect(wrong).toEqual([]);
    },
    240_000,
  );
});

describe('pages of the operator console', () => {
  test.each(roles)('show an operator with the role %s only forms that the role may send', async (role) => {
    const cookie = await roleCookie(fixture.consoleApp, role);
    const app = fixture.consoleApp;
    const posts = app.routeAccess.filter(({ method }) => method === 'POST');
    const refused: string[] = [];
    let forms = 0;
    for (const [name, sampleOf] of Object.entries(consoleSamples(apiKey))) {
      if (!/^GET \/operator\/(?!.*\/live$)/.test(name)) continue;
      const { text: body } = await get(fixture, sampleOf().path, cookie);
      for (const [form, path = ''] of body.matchAll(/<form[^>]*method="post"[^>]*action="([^"]*)"[^>]*>/g)) {
        // Every operator may end own sessions.
        const own = path.endsWith('/sign-out') || path.startsWith('/operator/sessions/');
        if (/\shidden[\s>]/.test(form) || own) continue;
        forms += 1;
        const route = posts.find(({ url }) => patternOf(url).test(path));
        if (!opensFor('operator-session', role).some((access) => access === route?.access))
          refused.push(`${name}: ${path}`);
      }
    }
    expect(refused).toEqual([]);
    expect(forms > 0).toBe(role !== 'viewer');
  });
});

function patternOf(url: string): RegExp {
  return new RegExp(`^${url.replaceAll(/:\w+/g, '[^/]+')}$`);
}
