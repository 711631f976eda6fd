// Goal: a policy cannot be loaded with an identity part that would accept more than its author means.
import { describe, expect, test } from 'vitest';
import type { JwtPolicy } from '../../../shared/domain/policy.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { policyEnv, policyOf, policyText } from './text.ts';

function mistakesOf(parts: Record<string, string>, env: Record<string, string> = policyEnv): string {
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

describe('secrets are as long as what they protect needs, in bytes', () => {
  const tokens = (algorithms: string) => jwt(`algorithms: [${algorithms}], secret_env: A_SECRET`);
  const services = { services: '[{ name: billing, token_env: A_SECRET }]' };

  test.each([
    ['HS256', tokens('HS256'), 32],
    ['HS384', tokens('HS384'), 48],
    ['HS512', tokens('HS512'), 64],
    ['the longest of several hashes', tokens('HS256, HS512'), 64],
    ['a service token', services, 32],
  ])('%s', (_what, parts, bytes) => {
    const mistakesWith = (secret: string) => mistakesOf(parts, { A_SECRET: secret });
    expect(mistakesWith('x'.repeat(bytes - 1))).toContain(`has ${bytes - 1} bytes; use ${bytes} or more`);
    expect(mistakesWith('x'.repeat(bytes))).toBe('');
    expect(mistakesWith('é'.repeat(bytes / 2))).toBe('');
    expect(mistakesWith('é'.repeat(bytes / 2 - 1))).toContain(`has ${bytes - 2} bytes`);
    expect(mistakesWith('')).toContain(`random secret of ${bytes} bytes or more`);
  });
});

describe('algorithms and keys go together', () => {
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
    ['staleness of a shared secret', `${shared}, jwks_max_stale: 1d`, /jwks_max_stale: goes with jwks_url/],
  ])('%s is refused', (_what, text, mistake) => {
    expect(mistakesOf(jwt(text))).toMatch(mistake);
  });
});

describe('bad credentials', () => {
  test('60 a minute of an address, unless the policy says otherwise', () => {
    const refused = (identity: string) => policyOf({ identity }).identity.refused[0];
    expect(refused(`{ jwt: { ${shared} } }`)).toMatchObject({ per: ['ip'], limit: 60, windowMs: 60_000 });
    expect(refused('{ refused: { limit: 5, window: 1h } }')).toMatchObject({ limit: 5, windowMs: 3_600_000 });
    for (const bad of ['{ limit: 0, window: 1m }', '{ limit: 1 }', '{ limit: 1, window: 100ms }', '5'])
      expect(mistakesOf({ identity: `{ refused: ${bad} }` })).toMatch(/identity\.refused/);
  });
});

describe('time', () => {
  test('leeway is 30 s, expiry is required and keys may be a day old, unless the policy says otherwise', () => {
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
  ])('a leeway of %s is refused', (leeway, mistake) => {
    expect(mistakesOf(jwt(`${shared}, leeway: ${leeway}`))).toMatch(mistake);
  });
});
