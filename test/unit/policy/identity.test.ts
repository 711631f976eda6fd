// Goal: a policy whose identity part would accept more credentials than intended is refused.
import { describe, expect, test } from 'vitest';
import type { JwtPolicy } from '../../../shared/domain/policy.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { policyEnv, policyOf, policyText } from './text.ts';

function violationsOf(parts: Record<string, string>, env: Record<string, string> = policyEnv): string {
  try {
    parsePolicy('policy.yaml', policyText(parts), env);
  } catch (error) {
    expect(error).toMatchObject({ code: 'POLICY_INVALID' });
    return (error as Error).message;
  }
  return '';
}

const jwt = (text: string): Record<string, string> => ({ identity: `{ jwt: { ${text} } }` });
const shared = 'algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET';
const published = 'algorithms: [RS256], jwks_url: "https://id.example.com/keys"';

function compiled(text: string): JwtPolicy {
  const policy = policyOf(jwt(text)).identity.jwt;
  if (policy === null) throw new Error('the policy has no jwt');
  return policy;
}

describe('secrets have at least the bytes that their algorithm needs', () => {
  const tokens = (algorithms: string) => jwt(`algorithms: [${algorithms}], secret_env: A_SECRET`);
  const services = { services: '[{ name: billing, token_env: A_SECRET }]' };

  test.each([
    ['HS256', tokens('HS256'), 32],
    ['HS384', tokens('HS384'), 48],
    ['HS512', tokens('HS512'), 64],
    ['the longest of several hashes', tokens('HS256, HS512'), 64],
    ['a service token', services, 32],
  ])('%s', (_what, parts, bytes) => {
    const violationsWith = (secret: string) => violationsOf(parts, { A_SECRET: secret });
    expect(violationsWith('x'.repeat(bytes - 1))).toContain(`has ${bytes - 1} bytes; use ${bytes} or more`);
    expect(violationsWith('x'.repeat(bytes))).toBe('');
    expect(violationsWith('é'.repeat(bytes / 2))).toBe('');
    expect(violationsWith('é'.repeat(bytes / 2 - 1))).toContain(`has ${bytes - 2} bytes`);
    expect(violationsWith('')).toContain(`random secret of ${bytes} bytes or more`);
  });
});

describe('algorithms and keys must be of the same kind', () => {
  test.each([
    [
      'a shared secret with public-key algorithms',
      'algorithms: [HS256, RS256], secret_env: A',
      /RS256 needs public keys/,
    ],
    [
      'public keys with HMAC',
      `algorithms: [ES256, HS512], jwks_url: "https://a.example/k"`,
      /HS512 needs a shared secret/,
    ],
    ['both kinds of key', `${shared}, jwks_url: "https://a.example/k"`, /exactly one of secret_env/],
    ['no key', 'algorithms: [HS256]', /exactly one of secret_env/],
    ['no algorithm', 'algorithms: [], secret_env: TOLLGATE_JWT_SECRET', /algorithms: is an empty list/],
    ['none', 'algorithms: [none], secret_env: TOLLGATE_JWT_SECRET', /is "none"/],
    ['None', 'algorithms: [None], secret_env: TOLLGATE_JWT_SECRET', /is "None"/],
    [
      'staleness of a shared secret',
      `${shared}, jwks_max_stale: 1d`,
      /jwks_max_stale: is allowed with jwks_url only/,
    ],
  ])('%s is refused', (_what, text, violation) => {
    expect(violationsOf(jwt(text))).toMatch(violation);
  });
});

describe('bad credentials', () => {
  test('an address may present 60 a minute unless the policy sets a limit', () => {
    const refused = (identity: string) => policyOf({ identity }).identity.refused[0];
    expect(refused(`{ jwt: { ${shared} } }`)).toMatchObject({ per: ['ip'], limit: 60, windowMs: 60_000 });
    expect(refused('{ refused: { limit: 5, window: 1h } }')).toMatchObject({ limit: 5, windowMs: 3_600_000 });
    for (const bad of ['{ limit: 0, window: 1m }', '{ limit: 1 }', '{ limit: 1, window: 100ms }', '5'])
      expect(violationsOf({ identity: `{ refused: ${bad} }` })).toMatch(/identity\.refused/);
  });
});

describe('time', () => {
  test('by default leeway is 30 s, expiry is required and keys may be a day old', () => {
    expect(compiled(shared)).toMatchObject({ leewayMs: 30_000, expiry: 'required' });
    expect(compiled(published).keys).toMatchObject({ kind: 'jwks', staleMsMax: 86_400_000 });
    expect(compiled(`${shared}, leeway: 0s, expiry: optional`)).toMatchObject({
      leewayMs: 0,
      expiry: 'optional',
    });
    expect(compiled(`${shared}, leeway: 5m`).leewayMs).toBe(300_000);
    expect(compiled(`${published}, jwks_max_stale: 1w`).keys).toMatchObject({ staleMsMax: 604_800_000 });
  });

  test.each([
    ['6m', /"6m" is out of range; clocks may be 0s to 5m apart/],
    ['1h', /out of range/],
    ['-1s', /how far clocks may be apart/],
    ['30', /how far clocks may be apart/],
  ])('a leeway of %s is refused', (leeway, violation) => {
    expect(violationsOf(jwt(`${shared}, leeway: ${leeway}`))).toMatch(violation);
  });
});
