import { describe, expect, test } from 'vitest';
import { attributesOf } from '../../../shared/policy/attributes.ts';
import { policyOf, violationsOf } from './text.ts';

const limit = (per: string): string =>
  `{ free: { limits: [{ name: one, per: ${per}, limit: 5, window: 1m }] } }`;
const identity =
  '{ jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, tenant: tenant_id }, anonymous: ip }';
const attributes = '{ model: { from: model }, team: { claim: team }, agent: { header: X-Agent } }';

describe('F2: limits per API key and per attribute', () => {
  test('the values come from credential, header and model; a trusted caller may state them', () => {
    const policy = policyOf({ identity, attributes, plans: limit('[tenant, key, team, agent, model]') });
    const { limits = [] } = policy.plans.get('free') ?? {};
    const caller = { attributes: { team: 'red', key: 'k1' } };
    const headers = { 'x-agent': 'bot', team: 'blue' };
    expect(attributesOf(policy, limits, { headers, reserve: { model: 'small' } }, caller)).toEqual({
      ...{ key: 'k1', team: 'red', agent: 'bot', model: 'small' },
    });
    expect(attributesOf(policy, limits, { attributes: { team: 'blue' } }, {})).toEqual({
      ...{ key: '', team: 'blue', agent: '', model: '' },
    });
  });

  test('a policy that counts none is marked, so that its requests allocate nothing', () => {
    expect(policyOf({ identity, attributes }).countsAttributes).toBe(false);
    const policy = policyOf({ plans: limit('key') });
    expect(policy.countsAttributes).toBe(true);
    expect(attributesOf(policy, [], {}, {})).toBeUndefined();
  });

  test.each([
    [
      'an unknown word',
      { plans: limit('[tenant, modle]') },
      /per: is "modle", but must be whose usage is counted: tenant, user, ip, global, group, key; define others under "attributes"/,
    ],
    [
      'a concurrent limit of keys',
      { plans: '{ free: { limits: [{ name: a, per: key, limit: 1, type: concurrent }] } }' },
      /per: has "key", which is not allowed with type concurrent/,
    ],
    [
      'a reserved name',
      { attributes: '{ user: { header: x-user } }' },
      /attributes\.user: "user" has a meaning of its own/,
    ],
    [
      'no source',
      { attributes: '{ a: {} }' },
      /attributes\.a: must have exactly one of from, claim and header/,
    ],
    [
      'two sources',
      { identity, attributes: '{ a: { claim: b, header: c } }' },
      /exactly one of from, claim and header/,
    ],
    [
      'a claim without tokens',
      { attributes: '{ a: { claim: b } }' },
      /attributes\.a\.claim: needs tokens; add identity\.jwt/,
    ],
    [
      'a name in capitals',
      { attributes: '{ A: { header: b } }' },
      /attributes\.A: is not a usable name; use up to 48 lower-case/,
    ],
  ])('%s is refused', (_what, parts, message) => {
    expect(violationsOf(parts).join('\n')).toMatch(message);
  });
});
