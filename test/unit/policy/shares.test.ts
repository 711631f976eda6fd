import { describe, expect, test } from 'vitest';
import { policyOf } from './text.ts';

const platform = (limits: string, shares = ''): Record<string, string> => ({
  platform: `{ limits: [${limits}]${shares === '' ? '' : `, shares: ${shares}`} }`,
});
const atOnce = (limit: number): string => `{ name: all, per: global, type: concurrent, limit: ${limit} }`;
const sharesOf = (parts: Record<string, string>): [string, readonly string[], number][] =>
  policyOf(parts).shares.map(({ name, per, limit }) => [name, per, limit]);

describe('F6: shares of the platform', () => {
  test('one tenant and one address may hold a quarter of a limit by default', () => {
    expect(sharesOf(platform(atOnce(1_000)))).toEqual([
      ['all-tenant', ['tenant'], 250],
      ['all-address', ['ip'], 250],
    ]);
  });

  test('a share is set by the policy, is at least one request, and adds no limit if it is 1', () => {
    expect(sharesOf(platform(atOnce(1_000), '{ tenant: 0.5, address: 1 }'))).toEqual([
      ['all-tenant', ['tenant'], 500],
    ]);
    expect(sharesOf(platform(atOnce(3)))).toEqual([
      ['all-tenant', ['tenant'], 1],
      ['all-address', ['ip'], 1],
    ]);
  });

  test('windows of the platform have no shares, and shares of a shadow limit refuse no request', () => {
    expect(sharesOf(platform('{ name: hour, per: global, limit: 1000, window: 1h }'))).toEqual([]);
    const shadow = platform('{ name: all, per: global, type: concurrent, limit: 8, mode: shadow }');
    expect(policyOf(shadow).shares.map(({ mode }) => mode)).toEqual(['shadow', 'shadow']);
  });

  test.each([
    ['a share of 0', platform(atOnce(8), '{ tenant: 0 }'), /shares\.tenant|tenant/],
    ['a share above 1', platform(atOnce(8), '{ address: 2 }'), /address/],
    [
      'a limit with the name of a share',
      {
        ...platform(atOnce(8)),
        plans: '{ free: { limits: [{ name: all-tenant, per: tenant, limit: 5, window: 1m }] } }',
      },
      /its share has the name of another limit, "all-tenant"/,
    ],
  ])('%s is refused', (_what, parts, message) => {
    expect(() => policyOf(parts)).toThrow(message);
  });
});
