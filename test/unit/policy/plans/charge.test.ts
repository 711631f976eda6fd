import { expect, test } from 'vitest';
import { chargeRuleOf } from '../../../../shared/policy/match.ts';
import { policyOf, violationsOf } from '../text.ts';

test('F3: statuses that are not charged are a list of statuses and classes; the rule of a route has precedence', () => {
  const limits = '[{ name: minute, per: tenant, limit: 5, window: 1m }]';
  const policy = policyOf({
    plans: `{ free: { limits: ${limits}, charge: { unless_status: [5xx, 429] } }, pro: { limits: ${limits} } }`,
    routes: '[{ match: GET /a, charge: { unless_status: [404] } }, { match: GET /b }]',
  });
  const [free, pro] = [...policy.plans.values()];
  const [a = null, b = null] = policy.routes;
  if (free === undefined || pro === undefined) throw new Error('no plans');
  expect(chargeRuleOf(free, b)?.unlessStatus).toEqual(
    new Set([...Array.from({ length: 100 }, (_, index) => 500 + index), 429]),
  );
  expect(chargeRuleOf(free, a)?.unlessStatus).toEqual(new Set([404]));
  expect(chargeRuleOf(pro, b)).toBeNull();
});

test('a class of statuses that does not exist is refused', () => {
  expect(violationsOf({ routes: '[{ match: GET /a, charge: { unless_status: [6xx] } }]' }).join()).toMatch(
    /unless_status\[0\]: is "6xx", but must be a status from 100 to 599, or a class of them, e\.g\. 429 or 5xx/,
  );
});
