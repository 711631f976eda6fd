// Goal: an outage of the issuer affects no caller whose key is in memory, and no caller can overload the issuer.
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { Credentials } from '../../../shared/identity/credentials.ts';
import { startIssuer } from './issuer.ts';
import type { Behaviour, Issuer } from './issuer.ts';
import { credentialsOf, policyWith, testClock } from './reader.ts';
import type { TestClock } from './reader.ts';

const hourMs = 3_600_000;
const soon = { timeout: 20_000 };
let issuer: Issuer;
let clock: TestClock;
let registry: Registry;
let credentials: Credentials;
let policy: Policy;

beforeEach(async () => {
  issuer = await startIssuer();
  await issuer.addKey('a');
  clock = testClock();
  registry = new Registry();
  policy = policyOf();
  credentials = credentialsOf(clock, { registry, policy: () => policy });
});
afterEach(() => issuer.close());

function policyOf(more = ''): Policy {
  return policyWith(`algorithms: [ES256, RS256], jwks_url: "${issuer.url}"${more}`);
}

let serial = 0;
/** A new token, valid for a day. */
function token(kid: string, header = {}): Promise<string> {
  serial += 1;
  return issuer.sign(kid, { tenant_id: `t${serial}`, exp: clock.nowMs / 1000 + 86_400 }, header);
}

/** Status for a caller with this token: 200, or the status of the rejection. */
async function statusOf(credential: string): Promise<number> {
  const reading = await credentials.under(policy).read(credential, '1.1.1.1');
  return reading.kind === 'refused' ? reading.rejection.status : 200;
}

describe('an outage of the issuer', () => {
  const troubles: readonly Behaviour[] = ['fails', 'garbage', 'empty', 'resets', 'redirects', 'huge'];

  test.each(troubles)(
    'of an hour that %s, with a policy edit in it, rejects no known key',
    async (trouble) => {
      const before = await token('a');
      expect(await statusOf(before)).toBe(200);
      issuer.behave(trouble);
      for (let minute = 0; minute < 60; minute += 5) {
        clock.nowMs += hourMs / 12;
        if (minute === 30) policy = policyOf(', leeway: 10s');
        expect(await statusOf(before)).toBe(200);
        expect(await statusOf(await token('a'))).toBe(200);
        // An unknown key causes a fetch, which fails.
        expect(await statusOf(await token('a', { kid: `never-${minute}` }))).toBe(503);
      }
    },
  );

  test('keys are used for the time that the policy sets, and no longer', async () => {
    policy = policyOf(', jwks_max_stale: 2h');
    const seen = await token('a');
    expect(await statusOf(seen)).toBe(200);
    issuer.behave('fails');
    clock.nowMs += 2 * hourMs;
    expect(await statusOf(await token('a'))).toBe(200);
    clock.nowMs += 1;
    expect(await statusOf(await token('a'))).toBe(503);
    expect(await statusOf(seen)).toBe(503);
    issuer.behave('ok');
    clock.nowMs += 1_000;
    expect(await statusOf(seen)).toBe(200);
  });

  test('at the start gives a 503 with the reason, and ends with the next token a second later', async () => {
    issuer.behave('fails');
    expect(await credentials.under(policy).read(await token('a'), '1.1.1.1')).toMatchObject({
      rejection: { status: 503, detail: expect.stringContaining('responded with 503') as string },
    });
    issuer.behave('ok');
    clock.nowMs += 1_000;
    expect(await statusOf(await token('a'))).toBe(200);
  });

  test('a token of an unknown key gets a 503, not a 401, because the issuer may have just created the key', async () => {
    expect(await statusOf(await token('a'))).toBe(200);
    issuer.behave('fails');
    clock.nowMs += 1_000;
    expect(await statusOf(await token('a', { kid: 'new' }))).toBe(503);
  });

  test.each(['hangs', 'drips'] as const)(
    'that %s ends by itself, and known keys do not wait',
    async (trouble) => {
      expect(await statusOf(await token('a'))).toBe(200);
      issuer.behave(trouble);
      clock.nowMs += 1_000;
      let hasEnded = false;
      const unknown = statusOf(await token('a', { kid: 'new' })).finally(() => (hasEnded = true));
      expect(await statusOf(await token('a'))).toBe(200);
      expect(hasEnded).toBe(false);
      expect(await unknown).toBe(503);
    },
  );

  test('shows in metrics: the age grows and failures are counted by kind', async () => {
    expect(await statusOf(await token('a'))).toBe(200);
    issuer.behave('garbage');
    clock.nowMs += 90_000;
    await statusOf(await token('a', { kid: 'new' }));
    const text = await registry.metrics();
    expect(text).toMatch(/^tollgate_jwks_age_seconds 90$/m);
    expect(text).toMatch(/^tollgate_jwks_keys 1$/m);
    expect(text).toMatch(/^tollgate_jwks_fetches_total\{result="ok"\} 1$/m);
    expect(text).toMatch(/^tollgate_jwks_fetches_total\{result="invalid"\} 1$/m);
  });
});

describe('a new key', () => {
  test('is accepted with the first token that names it', async () => {
    expect(await statusOf(await token('a'))).toBe(200);
    await issuer.addKey('b');
    clock.nowMs += 1_000;
    expect(await statusOf(await token('b'))).toBe(200);
    expect(issuer.requests()).toBe(2);
  });

  test('that was used before its publication is accepted within a second after it', async () => {
    expect(await statusOf(await token('a'))).toBe(200);
    await issuer.addKey('b', { published: false });
    clock.nowMs += 1_000;
    expect(await statusOf(await token('b'))).toBe(401);
    issuer.publish('b');
    clock.nowMs += 999;
    expect(await statusOf(await token('b'))).toBe(401);
    clock.nowMs += 1;
    expect(await statusOf(await token('b'))).toBe(200);
  });

  test('is accepted within a second during a flood of invented keys, and keys in memory never wait', async () => {
    expect(await statusOf(await token('a'))).toBe(200);
    await issuer.addKey('b', { published: false });
    const requestsBefore = issuer.requests();
    for (let second = 0; second < 10; second += 1) {
      clock.nowMs += 1_000;
      const flood = await Promise.all(
        Array.from({ length: 40 }, (_, i) => token('a', { kid: `x-${second}-${i}` })),
      );
      expect(new Set(await Promise.all(flood.map(statusOf)))).toEqual(new Set([401]));
      expect(credentials.under(policy).read(await token('a'), '1.1.1.1')).toBeInstanceOf(Promise);
      expect(await statusOf(await token('a'))).toBe(200);
    }
    expect(issuer.requests() - requestsBefore).toBeLessThanOrEqual(10);
    issuer.publish('b');
    clock.nowMs += 1_000;
    expect(await statusOf(await token('b'))).toBe(200);
  });

  test('that is never published is looked up more and more rarely', async () => {
    expect(await statusOf(await token('a'))).toBe(200);
    const requestsBefore = issuer.requests();
    for (let second = 0; second < 60; second += 1) {
      clock.nowMs += 1_000;
      expect(await statusOf(await token('a', { kid: 'never' }))).toBe(401);
    }
    expect(issuer.requests() - requestsBefore).toBeLessThanOrEqual(12);
  });

  test('with a name of 5,000 characters is refused without a fetch', async () => {
    expect(await statusOf(await token('a'))).toBe(200);
    clock.nowMs += 1_000;
    expect(await statusOf(await token('a', { kid: 'x'.repeat(5_000) }))).toBe(401);
    expect(issuer.requests()).toBe(1);
  });
});

describe('a key that was removed', () => {
  test('is refused after the next fetch, and so are the tokens that it verified before', async () => {
    await issuer.addKey('b', { published: false });
    const [seen, unseen] = [await token('a'), await token('a')];
    expect(await statusOf(seen)).toBe(200);
    issuer.withdraw('a');
    issuer.publish('b');
    clock.nowMs += 1_000;
    expect(await statusOf(await token('b'))).toBe(200);
    expect(await statusOf(seen)).toBe(401);
    expect(await statusOf(unseen)).toBe(401);
  });

  test('does not affect other keys: tokens that they verified stay valid', async () => {
    await issuer.addKey('b');
    await issuer.addKey('c', { published: false });
    clock.nowMs += 1_000;
    const ofB = await token('b');
    expect(await statusOf(ofB)).toBe(200);
    issuer.withdraw('a');
    issuer.publish('c');
    clock.nowMs += 1_000;
    expect(await statusOf(await token('c'))).toBe(200);
    expect(credentials.under(policy).read(ofB, '1.1.1.1')).not.toBeInstanceOf(Promise);
  });

  test('is noticed within a minute without any token that names it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const seen = await token('a');
      expect(await statusOf(seen)).toBe(200);
      await issuer.addKey('b');
      issuer.withdraw('a');
      const requestsBefore = issuer.requests();
      vi.advanceTimersByTime(60_000);
      await vi.waitFor(() => expect(issuer.requests()).toBe(requestsBefore + 1), soon);
      await vi.waitFor(async () => expect(await statusOf(seen)).toBe(401), soon);
    } finally {
      vi.useRealTimers();
    }
  });
});

test('an edit of the policy takes effect without any token: new keys are fetched, old keys are not', async () => {
  const other = await startIssuer();
  await other.addKey('o');
  policy = policyWith(`algorithms: [ES256], jwks_url: "${other.url}"`);
  await registry.metrics();
  await vi.waitFor(() => expect(other.requests()).toBe(1), soon);
  policy = policyWith('algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET');
  clock.nowMs += hourMs;
  expect(await registry.metrics()).toMatch(/^tollgate_jwks_age_seconds 0$/m);
  expect(await statusOf(await token('a'))).toBe(401);
  await other.close();
});
