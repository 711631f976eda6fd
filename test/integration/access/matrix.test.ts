import { createHash } from 'node:crypto';
import { SignJWT } from 'jose';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTokens } from '../../../services/console/sessions/tokens.ts';
import { systemClock } from '../../../shared/runtime/clock.ts';
import { listenOps } from '../../../shared/runtime/ops.ts';
import { uniqueName } from '../../support/servers.ts';
import { adminToken, createBed } from '../console/bed.ts';
import type { Bed } from '../console/bed.ts';
import { serviceToken, startGateway, startUpstream, tokenOf } from '../gateway/gateway.ts';
import type { TestGateway, TestUpstream } from '../gateway/gateway.ts';
import { adminSamples, apiSamples, consoleSamples, gatewaySamples, opsSamples } from './routes.ts';
import { spellings } from './spellings.ts';
import { overrides, walk } from './walk.ts';
import type { Credential, Listener } from './walk.ts';

const tenantId = uniqueName('acme');
const apiKey = `tgk_${uniqueName('key')}`;
const [sheep, wolf] = ['portal session', 'operator session'];

let bed: Bed;
let upstream: TestUpstream;
let gateway: TestGateway;

beforeAll(async () => {
  bed = await createBed();
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
  await bed.directory.put(record);
});

afterAll(async () => {
  await Promise.all([bed.dispose(), gateway.close()]);
  await upstream.close();
});

const bearer = (token: string): { authorization: string } => ({ authorization: `Bearer ${token}` });

/** The credentials of the API, good and bad, as headers. */
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
  const { tokens } = bed;
  const stranger = createTokens('another-portal-secret', adminToken, systemClock);
  const formerly = createTokens('a-portal-secret-of-tests', 'the-former-admin-token', systemClock);
  const [portal, operator] = [
    (value: string) => `tollgate_portal=${value}`,
    (value: string) => `tollgate_operator=${value}`,
  ];
  const cookie = (name: string, text: string, opens: Credential['opens'] = []): Credential => ({
    name,
    headers: { cookie: text },
    opens,
  });
  const [session, desk] = [
    await tokens.signTenant(tenantId, 'jwt', 600_000),
    await tokens.signOperator('robin', 600_000),
  ];
  return [
    { name: 'none', headers: {}, opens: [] },
    cookie(sheep, portal(session), ['portal-session']),
    cookie('another tenant’s', portal(await tokens.signTenant(uniqueName('globex'), 'jwt', 600_000)), [
      'portal-session',
    ]),
    cookie(wolf, operator(desk), ['operator-session']),
    cookie(
      'expired sessions',
      `${portal(await tokens.signTenant(tenantId, 'jwt', -1000))}; ${operator(await tokens.signOperator('robin', -1000))}`,
    ),
    cookie(
      'forged sessions',
      `${portal(await stranger.signTenant(tenantId, 'jwt', 600_000))}; ${operator(await stranger.signOperator('robin', 600_000))}`,
    ),
    cookie(
      'an operator session of the former token',
      operator(await formerly.signOperator('robin', 600_000)),
    ),
    cookie('sessions in each other’s cookies', `${portal(desk)}; ${operator(session)}`),
    cookie(
      'a link as sessions',
      `${portal(await tokens.signLink(tenantId, 600_000))}; ${operator(await tokens.signLink(tenantId, 600_000))}`,
    ),
    {
      name: 'the admin token and an API key',
      headers: { ...bearer(adminToken), 'x-api-key': apiKey },
      opens: [],
    },
  ];
}

/** The console's credentials open nothing on the admin listener, and the API's neither. */
async function adminCredentials(): Promise<Credential[]> {
  const others = [...(await apiCredentials()), ...(await sessionCredentials())];
  return [
    { name: 'the right token', headers: bearer(adminToken), opens: ['admin'] },
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

/** What servers read differently. */
const unclear = [
  'a fragment',
  'a NUL behind the first segment',
  'an encoded slash',
  'a backslash',
  ...overrides,
];
/** The prefix has one spelling, so that what is behind it is certain. */
const behindPrefix = [
  ...spellings.filter(({ name }) => /encoded|absolute/.test(name)).map(({ name }) => name),
  ...unclear,
].filter((name) => spellings.find((one) => one.name === name)?.same !== false);

const listeners: readonly (readonly [string, () => Promise<Omit<Listener, 'name'>>])[] = [
  [
    'admin',
    async () => ({
      app: bed.console.admin,
      samples: adminSamples,
      credentials: await adminCredentials(),
      contentType: 'application/json',
      denied: () => 401,
      unmatched: ({ opens }) => (opens.includes('admin') ? 404 : 401),
    }),
  ],
  [
    'console',
    async () => ({
      app: bed.console.web,
      samples: consoleSamples(apiKey),
      credentials: await sessionCredentials(),
      contentType: 'application/x-www-form-urlencoded',
      denied: (_access, url) => (url.includes('/data/') ? 401 : 303),
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
      headers: { 'x-original-uri': '/' },
      refused: { '/v1/ext-authz': behindPrefix, '/v1/ext-authz/*': behindPrefix },
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
      refused: { '/*': unclear },
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
