// Goal: only tokens that match the policy are accepted, within their validity period, and only with keys of the policy.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignJWT, UnsecuredJWT, exportJWK, generateKeyPair } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { policyEnv } from '../policy/text.ts';
import { startIssuer } from './issuer.ts';
import type { Issuer } from './issuer.ts';
import { credentialsOf, policyWith, testClock } from './reader.ts';

const secret = new TextEncoder().encode(policyEnv.TOLLGATE_JWT_SECRET);
const clock = testClock();
const nowSeconds = clock.nowMs / 1000;
const shared = 'algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET';
let issuer: Issuer;
let published: string;

beforeAll(async () => {
  issuer = await startIssuer();
  await issuer.addKey('es');
  await issuer.addKey('rs', { alg: 'RS256' });
  published = `algorithms: [ES256, RS256], jwks_url: "${issuer.url}"`;
});
afterAll(() => issuer.close());

function signed(claims: object, header: object = {}): Promise<string> {
  return new SignJWT({ tenant_id: 'acme', ...claims })
    .setProtectedHeader({ alg: 'HS256', ...header })
    .sign(secret, { crit: { exotic: true } });
}

/** `accepted`, or the reason for the rejection. */
async function outcome(jwt: string, token: string | Promise<string>): Promise<string> {
  const reading = await credentialsOf(clock)
    .under(policyWith(jwt))
    .read(await token, '1.1.1.1');
  return reading.kind === 'refused' ? `${reading.rejection.status} ${reading.rejection.detail}` : 'accepted';
}

describe('time', () => {
  test.each([
    ['exp, 30 s by default', shared, { exp: nowSeconds - 29 }, { exp: nowSeconds - 30 }],
    ['nbf, 30 s by default', shared, { nbf: nowSeconds + 30 }, { nbf: nowSeconds + 31 }],
    ['exp without leeway', `${shared}, leeway: 0s`, { exp: nowSeconds + 1 }, { exp: nowSeconds }],
    ['nbf without leeway', `${shared}, leeway: 0s`, { nbf: nowSeconds }, { nbf: nowSeconds + 1 }],
    ['exp with 5 minutes', `${shared}, leeway: 5m`, { exp: nowSeconds - 299 }, { exp: nowSeconds - 300 }],
  ])('leeway for %s', async (_what, jwt, good, bad) => {
    const whole = { exp: nowSeconds + 60 };
    expect(await outcome(jwt, signed({ ...whole, ...good }))).toBe('accepted');
    expect(await outcome(jwt, signed({ ...whole, ...bad }))).toMatch(/^401 .*(expired|not valid yet)/);
  });

  test('a token without exp is refused unless the policy allows it', async () => {
    expect(await outcome(shared, signed({}))).toMatch(/^401 .*no expiry \(exp\)/);
    expect(await outcome(`${shared}, expiry: optional`, signed({}))).toBe('accepted');
  });

  test.each(['"2027-01-01"', 'null', 'true', '1e400', '{}'])('an exp of %s is refused', async (exp) => {
    const part = (text: string): string => Buffer.from(text).toString('base64url');
    const [, , ...rest] = (await signed({})).split('.');
    const token = [part('{"alg":"HS256"}'), part(`{"tenant_id":"acme","exp":${exp}}`), ...rest].join('.');
    for (const jwt of [shared, `${shared}, expiry: optional`])
      expect(await outcome(jwt, token)).toMatch(/^401 .*\(exp\) is not a number/);
  });
});

describe('headers', () => {
  test('an extension that must be understood (crit) is refused, with shared and with public keys', async () => {
    const crit = { crit: ['exotic'], exotic: 1 };
    expect(await outcome(shared, signed({ exp: nowSeconds + 60 }, crit))).toMatch(/^401 .*crit/);
    const token = await issuer.sign('es', { tenant_id: 'acme', exp: nowSeconds + 60 });
    const [, payload, signature] = token.split('.');
    const header = Buffer.from(JSON.stringify({ alg: 'ES256', kid: 'es', ...crit })).toString('base64url');
    expect(await outcome(published, [header, payload, signature].join('.'))).toMatch(/^401 .*crit/);
  });

  test('keys and addresses of keys in a token (jwk, jku, x5u, x5c) are never used', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
    const own = { ...(await exportJWK(publicKey)), kid: 'own' };
    let requests = 0;
    const server = createServer((_request, response) => {
      requests += 1;
      response.end(JSON.stringify({ keys: [own] }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const jku = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
    for (const kid of ['es', 'own', undefined]) {
      const token = await new SignJWT({ tenant_id: 'acme', exp: nowSeconds + 60 })
        .setProtectedHeader({ alg: 'ES256', jku, x5u: jku, x5c: ['MAA='], jwk: own, ...(kid && { kid }) })
        .sign(privateKey);
      expect(await outcome(published, token)).toMatch(/^401 /);
      const withSecret = await signed({ exp: nowSeconds + 60 }, { jku, jwk: own });
      expect(await outcome(shared, withSecret)).toBe('accepted');
    }
    expect(requests).toBe(0);
    await new Promise((resolve) => server.close(resolve));
  });

  test.each(['none', 'None', 'NONE', 'HS512', 'RS256', 'hs256', ''])(
    'alg %j is not accepted',
    async (alg) => {
      const [, payload] = (await signed({ exp: nowSeconds + 60 })).split('.');
      const header = Buffer.from(JSON.stringify({ alg })).toString('base64url');
      for (const signature of ['', 'AAAA'])
        expect(await outcome(shared, `${header}.${payload ?? ''}.${signature}`)).toMatch(/^401 /);
      expect(await outcome(shared, new UnsecuredJWT({ tenant_id: 'acme' }).encode())).toMatch(
        /^401 .*algorithm/,
      );
    },
  );

  test('a public key used as a shared secret verifies nothing', async () => {
    const jwks = await (await fetch(issuer.url)).text();
    for (const text of [jwks, JSON.stringify((JSON.parse(jwks) as { keys: object[] }).keys[0])]) {
      const token = await new SignJWT({ tenant_id: 'acme', exp: nowSeconds + 60 })
        .setProtectedHeader({ alg: 'HS256', kid: 'es' })
        .sign(new TextEncoder().encode(text));
      expect(await outcome(published, token)).toMatch(/^401 .*algorithm is not accepted/);
    }
  });
});

describe('public keys', () => {
  const claims = { tenant_id: 'acme', exp: nowSeconds + 60 };

  test.each(['es', 'rs'])('%s verifies, with its kid and without one', async (kid) => {
    expect(await outcome(published, issuer.sign(kid, claims))).toBe('accepted');
    expect(await outcome(published, issuer.sign(kid, claims, { kid: undefined } as object))).toBe('accepted');
  });

  test('a token without a kid is tried with each key that fits its algorithm', async () => {
    const many = await startIssuer();
    for (const kid of ['one', 'two', 'three']) await many.addKey(kid);
    const jwt = `algorithms: [ES256], jwks_url: "${many.url}"`;
    expect(await outcome(jwt, many.sign('three', claims, { kid: undefined } as object))).toBe('accepted');
    await many.addKey('hidden', { published: false });
    expect(await outcome(jwt, many.sign('hidden', claims, { kid: undefined } as object))).toMatch(
      /^401 .*signature/,
    );
    await many.close();
  });

  test('a kid of another type of key, a wrong signature and an unknown issuer get 401, never 503', async () => {
    await issuer.addKey('hidden', { published: false });
    for (const kid of ['rs', 'es', 'unknown'])
      expect(await outcome(published, issuer.sign('hidden', claims, { kid }))).toMatch(/^401 /);
  });

  test('RSA keys under 2048 bits, private keys and shared keys in a JWKS are left out', async () => {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true });
    const weak = {
      kty: 'RSA',
      kid: 'weak',
      e: 'AQAB',
      n: Buffer.alloc(128, 0xc5).toString('base64url'),
    };
    const keys = [
      weak,
      { ...(await exportJWK(privateKey)), kid: 'private' },
      { kty: 'oct', k: 'AAAA', kid: 'shared' },
    ];
    const server = createServer((_request, response) => response.end(JSON.stringify({ keys })));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const jwt = `algorithms: [RS256, ES256], jwks_url: "${url}"`;
    expect(await outcome(jwt, issuer.sign('es', claims, { kid: 'private' }))).toMatch(
      /^503 .*without a key for/,
    );
    await new Promise((resolve) => server.close(resolve));
  });
});
