import { describe, expect, test } from 'vitest';
import { limitsFor } from '../../../shared/policy/match.ts';
import { policyOf, violationsOf } from './text.ts';

const groups = `
  acme-org: { limits: [{ name: org, per: group, limit: 9, window: 1m }] }
  "*": { limits: [{ name: others, per: group, limit: 5, window: 1m }] }`;

describe('F2: groups of tenants', () => {
  const policy = policyOf({ groups });
  const namesOf = (group?: string): string[] => {
    const record = {
      tenant_id: 'a',
      updated_at: '',
      updated_by: '',
      ...(group === undefined ? {} : { group }),
    };
    const query = { plan: null, record, route: null, nowMs: 0 };
    expect(limitsFor(policy, query).limits).toBe(limitsFor(policy, query).limits);
    return limitsFor(policy, query).limits.map(({ name }) => name);
  };

  test('the limits of the group apply after those of the plan; other groups have those of "*"', () => {
    expect([namesOf(), namesOf('acme-org'), namesOf('new-org')]).toEqual([
      ['minute'],
      ['minute', 'org'],
      ['minute', 'others'],
    ]);
  });

  test.each([
    ['per: tenant', /groups\.a\.limits\[0\]\.per: must be group/],
    ['per: [group, user]', /may not combine group with others/],
    ['per: group, by_plan: { free: 2 }', /by_plan: belongs on a route/],
    ['per: group, type: concurrent', /may not be group with type concurrent/],
  ])('a limit of a group with %s is refused', (fields, message) => {
    const text = `{ a: { limits: [{ name: x, ${fields}, limit: 1, window: 1m }] } }`;
    expect(violationsOf({ groups: text }).join('\n')).toMatch(message);
  });

  test('a limit of a group has no name of a limit of a plan', () => {
    const text = '{ a: { limits: [{ name: minute, per: group, limit: 1, window: 1m }] } }';
    expect(violationsOf({ groups: text }).join()).toMatch(/"minute" is also a limit of a plan or route/);
  });
});
