import { createHash } from 'node:crypto';
import { SignJWT, UnsecuredJWT } from 'jose';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { Identifier } from '../../../services/gateway/enforcer/identify.ts';
import type { Identified, TenantRecords } from '../../../services/gateway/enforcer/identify.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { hashApiKey } from '../../../shared/identity/api-keys.ts';
import { createCredentials } from '../../../shared/identity/credentials.ts';
import { policyEnv, policyOf } from '../policy/text.ts';

const secret = new TextEncoder().encode(policyEnv.TOLLGATE_JWT_SECRET);
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const key = 'tgk_acme-key';
const record: TenantRecord = {
  tenant_id: 'acme',
  api_keys_sha256: [sha256(key)],
  updated_at: '2026-01-01T00:00:00Z',
  updated_by: 'test',
};
let ready = true;
let keyEndMs = Infinity;
const records: TenantRecords = {
  get: () => undefined,
  byApiKeyHash: (hash) =>
    hash === sha256(key) ? { record, key: { sha256: hash }, expiresAtMs: keyEndMs } : undefined,
  ready: () => ready,
};

let now = Date.parse('2026-11-21T12:00:00Z');
const clock = { now: () => now };

function identifierFor(jwt: string, anonymous = 'ip') {
  const policy = policyOf({
    identity: `{ jwt: { ${jwt}, tenant: [tenant_id, workspace_id], user: sub, plan: tier }, anonymous: ${anonymous}, trusted_proxies: [127.0.0.0/8] }`,
    services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
  });
  const logger = pino({ level: 'silent' });
  const credentials = createCredentials({
    policy: () => policy,
    directory: records,
    clock,
    logger,
    registry: new Registry(),
  });
  return new Identifier(policy, credentials);
}

const identifier = identifierFor(
  'algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, issuer: me, audience: api',
);

function sign(claims: Record<string, unknown>, alg = 'HS256', bytes = secret): Promise<string> {
  return new SignJWT({ iss: 'me', aud: 'api', exp: now / 1000 + 60, ...claims })
    .setProtectedHeader({ alg })
    .sign(bytes);
}

async function bearer(token: string, from = identifier): Promise<Identified> {
  return from.identify({ authorization: `Bearer ${token}` }, '203.0.113.9');
}

async function rejectionOf(token: string, from = identifier): Promise<string | undefined> {
  const { identity, rejection } = await bearer(token, from);
  expect(identity).toMatchObject({ tenantId: null, userId: null, service: null, ip: '203.0.113.9' });
  return rejection === null ? undefined : `${rejection.status} ${rejection.detail}`;
}

describe('A2: the tenant comes from the verified token', () => {
  test('tenant, user and plan are read from the claims that the policy names', async () => {
    const { identity } = await bearer(await sign({ tenant_id: 'acme', sub: 'u1', tier: 'pro' }));
    expect(identity).toEqual({
      tenantId: 'acme',
      userId: 'u1',
      planClaim: 'pro',
      ip: '203.0.113.9',
      service: null,
      method: 'jwt',
    });
  });

  test('D2: the tenant claims are tried in order', async () => {
    expect((await bearer(await sign({ workspace_id: 'w' }))).identity.tenantId).toBe('w');
    expect((await bearer(await sign({ workspace_id: 'w', tenant_id: 't' }))).identity.tenantId).toBe('t');
  });

  test('E2: a token without a tenant still names its user', async () => {
    expect((await bearer(await sign({ sub: 'u1' }))).identity).toMatchObject({
      tenantId: null,
      userId: 'u1',
      method: 'jwt',
    });
  });
});

describe('a bad token is refused with the reason, and none of its claims is used', () => {
  test.each([
    ['unreadable', () => 'not.a.jwt', /^401 .*cannot be read/],
    ['plain text', () => 'hello', /^401 .*cannot be read/],
    ['expired', () => sign({ exp: now / 1000 - 30 }), /^401 The token has expired/],
    ['without an expiry', () => sign({ exp: undefined }), /^401 .*no expiry \(exp\)/],
    ['not valid yet', () => sign({ nbf: now / 1000 + 31 }), /^401 .*not valid yet/],
    ['of another issuer', () => sign({ iss: 'them' }), /^401 .*issuer \(iss\) is not me/],
    ['for another audience', () => sign({ aud: 'other' }), /^401 .*audience \(aud\) is not api/],
    [
      'signed with another secret',
      () => sign({}, 'HS256', new Uint8Array(32)),
      /^401 .*signature does not verify/,
    ],
    [
      'of another algorithm',
      () => sign({}, 'HS512', new Uint8Array(64)),
      /^401 .*algorithm is not accepted; accepted: HS256/,
    ],
    [
      'with alg: none',
      () => new UnsecuredJWT({ tenant_id: 'acme', iss: 'me', aud: 'api' }).encode(),
      /^401 .*algorithm is not accepted/,
    ],
    ['with an empty tenant', () => sign({ tenant_id: '' }), /^401 .*"tenant_id" is empty/],
    [
      'with a tenant that is an object',
      () => sign({ tenant_id: { a: 1 } }),
      /^401 .*"tenant_id" is neither text nor a whole number/,
    ],
    ['with a line break in the tenant', () => sign({ tenant_id: 'a\nb' }), /^401 .*control characters/],
    ['with a tenant of 10 kB', () => sign({ tenant_id: 'x'.repeat(5_000) }), /^401 .*longer than 256/],
    [
      'with half a surrogate pair',
      () => sign({ tenant_id: '\ud800' }),
      /^401 .*(well-formed|cannot be read)/,
    ],
    [
      'with the tenant that anonymous callers have',
      () => sign({ tenant_id: 'anonymous' }),
      /^401 .*reserved/,
    ],
    ['longer than 8 kB', () => 'x'.repeat(9_000), /^401 The credential is longer/],
  ])('%s', async (_what, make, expected) => {
    expect(await rejectionOf(await make())).toMatch(expected);
  });

  test('with the payload of one token and the signature of another', async () => {
    const [head, , signature] = (await sign({ tenant_id: 'acme' })).split('.');
    const [, payload] = (await sign({ tenant_id: 'evil' })).split('.');
    expect(await rejectionOf([head, payload, signature].join('.'))).toMatch(/signature does not verify/);
  });

  test('ids may contain braces and Unicode', async () => {
    expect((await bearer(await sign({ tenant_id: '{a}:✓' }))).identity.tenantId).toBe('{a}:✓');
  });

  test('a token verified before is refused from the moment it expires, leeway included', async () => {
    const token = await sign({ tenant_id: 'acme', exp: now / 1000 + 10 });
    expect((await bearer(token)).rejection).toBeNull();
    expect(identifier.identify({ authorization: `Bearer ${token}` }, '1.1.1.1')).not.toBeInstanceOf(Promise);
    now += 39_999;
    expect((await bearer(token)).rejection).toBeNull();
    now += 1;
    expect(await rejectionOf(token)).toMatch(/expired/);
  });
});

describe('B6: service tokens bypass, with no false positive', () => {
  const token = policyEnv.TOLLGATE_SERVICE_TOKEN;

  test('in its own header or as bearer', async () => {
    expect(await identifier.identify({ 'x-service-token': token }, '1.1.1.1')).toMatchObject({
      identity: { service: 'billing' },
    });
    expect(await bearer(token)).toMatchObject({
      identity: { service: 'billing', method: 'service' },
      rejection: null,
    });
  });

  test.each([
    '',
    ' ',
    token.slice(0, -1),
    `${token}x`,
    token.toUpperCase(),
    `${token},${token}`,
    sha256(token),
    '\0',
    'x'.repeat(9_000),
  ])('any other token is refused: %j', async (wrong) => {
    const { identity, rejection } = await identifier.identify({ 'x-service-token': wrong }, '1.1.1.1');
    expect(identity.service).toBeNull();
    expect(rejection?.status).toBe(401);
  });

  test("a service that acts for a tenant passes as a service, and the usage is the tenant's", async () => {
    const headers = {
      'x-service-token': token,
      authorization: `Bearer ${await sign({ tenant_id: 'acme' })}`,
    };
    expect(await identifier.identify(headers, '1.1.1.1')).toMatchObject({
      identity: { service: 'billing', tenantId: 'acme' },
    });
  });
});

describe('API keys', () => {
  test('a known key identifies its tenant, in either header', async () => {
    expect(await identifier.identify({ 'x-api-key': key }, '1.1.1.1')).toMatchObject({
      identity: { tenantId: 'acme', method: 'api_key' },
    });
    expect(await bearer(key)).toMatchObject({ identity: { tenantId: 'acme' }, rejection: null });
  });

  test('the identity names the key by the first 12 digits of its hash; a token has no key', async () => {
    const id = hashApiKey(key).slice(0, 12);
    expect(await bearer(key)).toMatchObject({ identity: { apiKey: { id } } });
    const { identity } = await bearer(await sign({ tenant_id: 'acme' }));
    expect(identity.apiKey).toBeUndefined();
  });

  test('an unknown key is refused with 401, and with 503 while records are still being read', async () => {
    expect(await rejectionOf('tgk_other')).toMatch(/^401 The API key is unknown/);
    ready = false;
    expect(await rejectionOf('tgk_other')).toMatch(/^503 /);
    ready = true;
  });
});

describe('API keys that expire', () => {
  test('a key is refused from the moment it expires, with that reason', async () => {
    keyEndMs = now + 1;
    expect((await bearer(key)).rejection).toBeNull();
    now += 1;
    expect(await rejectionOf(key)).toBe(
      `401 The API key expired at ${new Date(keyEndMs).toISOString()}; create a new one.`,
    );
    keyEndMs = Infinity;
  });
});

describe('callers without credentials', () => {
  test('are identified by address, or refused where the policy rejects them', async () => {
    expect(await identifier.identify({}, '203.0.113.9')).toMatchObject({
      identity: { method: 'anonymous', ip: '203.0.113.9' },
      rejection: null,
    });
    const strict = identifierFor('algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET', 'reject');
    expect((await strict.identify({}, '1.1.1.1')).rejection).toMatchObject({ status: 401 });
  });

  test("other schemes than bearer are the upstream's business; a bearer without a token is not", async () => {
    expect((await identifier.identify({ authorization: 'Basic abc' }, '1.1.1.1')).rejection).toBeNull();
    expect((await identifier.identify({ authorization: 'Bearer ' }, '1.1.1.1')).rejection).toMatchObject({
      status: 401,
    });
  });
});
