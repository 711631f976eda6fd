import { describe, expect, test } from 'vitest';
import { actorOf, bearerOf, sameSecret } from '../../../services/console/admin/authenticate.ts';
import { createAttempts } from '../../../services/console/sessions/attempts.ts';
import { createTokens } from '../../../services/console/sessions/tokens.ts';

const clock = { nowMs: 1_800_000_000_000, now: () => clock.nowMs };

describe('tokens', () => {
  const tokens = createTokens('portal-secret-1234', 'admin-token-1234', clock);

  test('each kind is read by its own reader only', async () => {
    const signed = {
      link: await tokens.signLink('acme', 60_000),
      tenant: await tokens.signTenant('acme', 'link', 60_000),
      operator: await tokens.signOperator('acme', 60_000),
    };
    for (const [kind, token] of Object.entries(signed)) {
      expect((await tokens.readLink(token)).kind).toBe(kind === 'link' ? 'valid' : 'invalid');
      expect((await tokens.readTenant(token)).kind).toBe(kind === 'tenant' ? 'valid' : 'invalid');
      expect((await tokens.readOperator(token)).kind).toBe(kind === 'operator' ? 'valid' : 'invalid');
    }
  });

  test('a token is good until its end and expired from then on', async () => {
    const token = await tokens.signLink('acme', 60_000);
    const endMs = clock.nowMs + 60_000;
    clock.nowMs = endMs - 1000;
    expect(await tokens.readLink(token)).toMatchObject({
      kind: 'valid',
      subject: 'acme',
      expiresAtMs: endMs,
    });
    clock.nowMs = endMs + 1000;
    expect(await tokens.readLink(token)).toEqual({ kind: 'expired' });
  });

  test('a new admin token signs operators out and leaves tenants in', async () => {
    const after = createTokens('portal-secret-1234', 'another-token-1234', clock);
    expect((await after.readOperator(await tokens.signOperator('kim', 60_000))).kind).toBe('invalid');
    expect((await after.readTenant(await tokens.signTenant('acme', 'jwt', 60_000))).kind).toBe('valid');
  });
});

describe('the admin token', () => {
  test('is compared as a whole, and an empty one never fits', () => {
    expect(sameSecret('secret', 'secret')).toBe(true);
    for (const other of ['Secret', 'secre', 'secrets', '', ' secret'])
      expect(sameSecret(other, 'secret')).toBe(false);
    expect(sameSecret('', '')).toBe(false);
  });

  test('is read from a bearer header only', () => {
    expect(bearerOf('Bearer abc')).toBe('abc');
    expect(bearerOf('bearer  abc ')).toBe('abc');
    for (const header of [undefined, '', 'abc', 'Basic abc', 'Bearer', 'Bearer a b'])
      expect(bearerOf(header)).toBe('');
  });

  test('an actor’s name cannot break a line of the trail', () => {
    expect(actorOf(' robin ')).toBe('robin');
    for (const name of [undefined, '', 'a\nb', 'x'.repeat(101), ['a', 'b']])
      expect(actorOf(name)).toBe('admin');
  });
});

test('twenty failures from one address make it wait ten minutes; others do not', () => {
  const attempts = createAttempts(clock);
  for (let count = 0; count < 20; count += 1) {
    expect(attempts.mayTry('a')).toBe(true);
    attempts.failed('a');
  }
  expect(attempts.mayTry('a')).toBe(false);
  expect(attempts.mayTry('b')).toBe(true);
  clock.nowMs += 10 * 60_000 + 1;
  expect(attempts.mayTry('a')).toBe(true);
});
