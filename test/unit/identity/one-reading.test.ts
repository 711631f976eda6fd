// Goal: a credential is the same caller at the gateway and at the portal, for every credential and every policy.
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { readCredential } from '../../../services/console/sessions/tenant-credential.ts';
import { Identifier } from '../../../services/gateway/enforcer/identify.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { Credentials } from '../../../shared/identity/credentials.ts';
import { policyEnv } from '../policy/text.ts';
import { credentialsOf, policyWith, testClock } from './reader.ts';

const clock = testClock();
const seed = 20_261_126;
let gateway: Credentials;
let portal: Credentials;

beforeEach(() => {
  gateway = credentialsOf(clock);
  portal = credentialsOf(clock);
});

function policyReading(tenant = 'tenant_id, workspace_id', user = 'sub', plan = 'tier'): Policy {
  return policyWith(
    `algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, tenant: [${tenant}], user: ${user}, plan: ${plan}, expiry: optional`,
  );
}

/** A signed token with exactly this JSON text as payload. */
function tokenOf(payload: string): string {
  const part = (text: string): string => Buffer.from(text).toString('base64url');
  const signed = `${part('{"alg":"HS256"}')}.${part(payload)}`;
  const signature = createHmac('sha256', policyEnv.TOLLGATE_JWT_SECRET).update(signed).digest('base64url');
  return `${signed}.${signature}`;
}

interface Said {
  readonly tenant: string | null;
  readonly user: string | null;
  readonly plan: string | null;
  readonly rejection: string | null;
}

/** Returns the gateway's reading of a token; the portal must return the same. */
async function readBy(policy: Policy, payload: string): Promise<Said> {
  const token = tokenOf(payload);
  const identifier = new Identifier(policy, gateway);
  const { identity, rejection } = await identifier.identify({ authorization: `Bearer ${token}` }, '1.1.1.1');
  const signIn = await readCredential(token, portal.under(policy), '1.1.1.1');
  const there = signIn.kind === 'tenant' ? signIn.tenantId : null;
  expect(there).toBe(identity.tenantId);
  if (rejection !== null) expect(signIn).toEqual({ kind: 'refused', status: 401, reason: rejection.detail });
  return {
    tenant: identity.tenantId,
    user: identity.userId,
    plan: identity.planClaim,
    rejection: rejection?.detail ?? null,
  };
}

describe('the first tenant claim that is present counts', () => {
  test.each([
    ['{"tenant_id":"acme","workspace_id":"globex"}', 'acme'],
    ['{"workspace_id":"globex"}', 'globex'],
    ['{"tenant_id":null,"workspace_id":"globex"}', 'globex'],
    ['{"tenant_id":5,"workspace_id":"globex"}', '5'],
    ['{"tenant_id":5.0}', '5'],
    ['{"tenant_id":-0}', '0'],
    ['{"tenant_id":9007199254740991}', '9007199254740991'],
    // If a name is repeated, JSON readers return the last value (RFC 7519, section 4).
    ['{"tenant_id":"acme","tenant_id":"globex"}', 'globex'],
    ['{"tenant_id":"caf\\u00e9"}', 'café'],
    ['{"sub":"ada"}', null],
  ])('%s', async (payload, tenant) => {
    expect(await readBy(policyReading(), payload)).toMatchObject({ tenant, rejection: null });
  });

  test.each([
    ['""', /"tenant_id" is empty/],
    ['" "', /white space/],
    ['"acme "', /white space/],
    ['"\\u00a0acme"', /white space/],
    ['"a\\nb"', /control characters/],
    ['"cafe\\u0301"', /NFC/],
    ['"\\ud800"', /well-formed/],
    ['"anonymous"', /reserved/],
    ['"tollgate-heartbeat"', /reserved/],
    ['true', /neither text nor a whole number/],
    ['false', /neither text nor a whole number/],
    ['5.5', /neither text nor a whole number/],
    ['1e21', /neither text nor a whole number/],
    ['9007199254740993', /neither text nor a whole number/],
    ['1e400', /neither text nor a whole number/],
    ['["acme"]', /neither text nor a whole number/],
    ['{"id":"acme"}', /neither text nor a whole number/],
    [`"${'x'.repeat(257)}"`, /longer than 256/],
  ])('%s is refused, and the next claim is not read', async (value, problem) => {
    const said = await readBy(policyReading(), `{"tenant_id":${value},"workspace_id":"globex"}`);
    expect(said).toMatchObject({ tenant: null, rejection: expect.stringMatching(problem) as string });
  });

  test('a claim with the name of an inherited property is present only if the token has it', async () => {
    const policy = policyReading('constructor, __proto__, toString');
    expect(await readBy(policy, '{}')).toMatchObject({ tenant: null, rejection: null });
    expect(await readBy(policy, '{"__proto__":"acme"}')).toMatchObject({ tenant: 'acme' });
  });
});

describe('user and plan', () => {
  test.each([
    ['{"tenant_id":"acme","sub":7}', '7'],
    ['{"tenant_id":"acme","sub":null}', null],
    ['{"tenant_id":"acme","sub":"anonymous"}', 'anonymous'],
  ])('%s', async (payload, user) => {
    expect(await readBy(policyReading(), payload)).toMatchObject({ tenant: 'acme', user, rejection: null });
  });

  test.each(['{}', '[]', 'true', '""', '1.5', '" ada"'])('a user of %s refuses the token', async (user) => {
    const said = await readBy(policyReading(), `{"tenant_id":"acme","sub":${user}}`);
    expect(said).toMatchObject({ tenant: null, rejection: expect.stringMatching(/"sub"/) as string });
  });

  test.each(['5', 'true', '{"name":"pro"}', '["pro"]', 'null'])(
    'a plan of %s names no plan: the default holds',
    async (plan) => {
      const said = await readBy(policyReading(), `{"tenant_id":"acme","tier":${plan}}`);
      expect(said).toMatchObject({ tenant: 'acme', plan: null, rejection: null });
    },
  );
});

const claimNames = ['tenant_id', 'workspace_id', 'sub', 'tier', '__proto__', 'constructor', 'https://a/b'];
const claimValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom('acme', 'globex', '', ' ', 'anonymous', 'cafe\u0301', null, true, 5, -0, 1e21, 5.5),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.integer(),
  fc.double(),
  fc.jsonValue({ maxDepth: 2 }),
);
const payload = fc
  .array(fc.tuple(fc.constantFrom(...claimNames), claimValue), { maxLength: 8 })
  // The JSON is built as text, so that a name may occur twice.
  .map(
    (pairs) =>
      `{${pairs.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`,
  );
const policyOfAny = fc
  .tuple(
    fc.uniqueArray(fc.constantFrom(...claimNames), { minLength: 1, maxLength: 3 }),
    fc.constantFrom(...claimNames),
    fc.constantFrom(...claimNames),
  )
  .map(([tenant, user, plan]) =>
    policyReading(tenant.map((name) => `"${name}"`).join(', '), `"${user}"`, `"${plan}"`),
  );

test('for any payload and any policy the gateway and the portal read the same tenant', async () => {
  await fc.assert(
    fc.asyncProperty(
      policyOfAny,
      fc.array(payload, { minLength: 1, maxLength: 10 }),
      async (policy, payloads) => {
        for (const one of payloads) {
          const { tenant, user } = await readBy(policy, one);
          for (const id of [tenant, user]) {
            if (id === null) continue;
            expect(id.normalize('NFC').trim()).toBe(id);
            expect(id.length).toBeGreaterThan(0);
          }
        }
      },
    ),
    { numRuns: 300, seed },
  );
});

test('any text that is not a credential is refused by both', async () => {
  const policy = policyReading();
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[\w-]*\.[\w-]*\.[\w-]*$/),
  );
  await fc.assert(
    fc.asyncProperty(text, async (credential) => {
      for (const credentials of [gateway, portal])
        expect((await credentials.under(policy).read(credential, '1.1.1.1')).kind).toBe('refused');
    }),
    { seed },
  );
});
