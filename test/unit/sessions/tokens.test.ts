import { describe, expect, test } from 'vitest';
import { bearerOf } from '../../../services/admin/authenticate.ts';
import { isSameSecret, secretLengthMax } from '../../../shared/sessions/secrets.ts';
import { createTokens } from '../../../shared/sessions/tokens.ts';

const clock = { nowMs: 1_800_000_000_000, now: () => clock.nowMs };
const hourMs = 3_600_000;

describe('tokens', () => {
  const tokens = createTokens('portal-secret-1234', 'admin-token-1234', clock);

  test('a token of one kind is invalid for the readers of the others', async () => {
    const signed = {
      link: (await tokens.signLink('acme', 60_000, { sessionTtlMs: hourMs, managesKeys: false })).token,
      tenant: (await tokens.signTenant('acme', { via: 'jwt', userId: null }, 60_000)).token,
      operator: (await tokens.signOperator('acme', { via: 'admin_token' }, 60_000)).token,
    };
    for (const [kind, token] of Object.entries(signed)) {
      expect((await tokens.readLink(token)).kind).toBe(kind === 'link' ? 'valid' : 'invalid');
      expect((await tokens.readTenant(token)).kind).toBe(kind === 'tenant' ? 'valid' : 'invalid');
      expect((await tokens.readOperator(token)).kind).toBe(kind === 'operator' ? 'valid' : 'invalid');
    }
  });

  test('a token is valid until its end, to the millisecond, and expired from then on', async () => {
    const { token, value } = await tokens.signLink('acme', 1_500, {
      sessionTtlMs: hourMs,
      managesKeys: false,
    });
    const endMs = clock.nowMs + 1_500;
    clock.nowMs = endMs - 1;
    expect(await tokens.readLink(token)).toEqual({ kind: 'valid', value });
    expect(value).toMatchObject({ tenantId: 'acme', expiresAtMs: endMs, sessionTtlMs: hourMs });
    clock.nowMs = endMs;
    expect(await tokens.readLink(token)).toEqual({ kind: 'expired' });
  });

  test('a session carries its source, and every session has another id', async () => {
    const sources = [
      { via: 'api_key', keySha256: 'ab'.repeat(32) },
      { via: 'link', linkId: 'l1', linkStartedAtMs: 1_700_000_000_000, managesKeys: true },
      { via: 'jwt', userId: null },
    ] as const;
    const ids = new Set<string>();
    for (const source of sources) {
      const { token } = await tokens.signTenant('acme', source, hourMs);
      const reading = await tokens.readTenant(token);
      expect(reading).toMatchObject({ kind: 'valid', value: { tenantId: 'acme', source } });
      if (reading.kind === 'valid') ids.add(reading.value.id);
    }
    expect(ids.size).toBe(3);
  });

  test('a new admin token signs operators out and leaves tenants signed in', async () => {
    const after = createTokens('portal-secret-1234', 'another-token-1234', clock);
    const operator = await tokens.signOperator('kim', { via: 'admin_token' }, 60_000);
    const tenant = await tokens.signTenant('acme', { via: 'jwt', userId: null }, 60_000);
    expect((await after.readOperator(operator.token)).kind).toBe('invalid');
    expect((await after.readTenant(tenant.token)).kind).toBe('valid');
  });
});

describe('the admin token', () => {
  test('only the exact token matches, and an empty expected token matches nothing', () => {
    expect(isSameSecret('secret', 'secret')).toBe(true);
    for (const other of ['Secret', 'secre', 'secrets', '', ' secret'])
      expect(isSameSecret(other, 'secret')).toBe(false);
    expect(isSameSecret('', '')).toBe(false);
    const long = 'x'.repeat(secretLengthMax + 1);
    expect(isSameSecret(long, long)).toBe(false);
  });

  test('is read from a bearer header only', () => {
    expect(bearerOf('Bearer abc')).toBe('abc');
    expect(bearerOf('bearer  abc ')).toBe('abc');
    for (const header of [undefined, '', 'abc', 'Basic abc', 'Bearer', 'Bearer a b'])
      expect(bearerOf(header)).toBe('');
  });
});
