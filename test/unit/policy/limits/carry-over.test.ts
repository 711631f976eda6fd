import { expect, test } from 'vitest';
import { limitsFor } from '../../../../shared/policy/match.ts';
import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
import { amountMax } from '../../../../shared/domain/usage/quantity.ts';
import { policyOf, violationsOf } from '../text.ts';

const planOf = (keys: string): string =>
  `\n  free:\n    limits:\n      - { name: month, limit: 100, ${keys} }`;
const quota = 'per: tenant, window: 1mo, type: quota';

test.each([
  ['carry_over: true', { base: 100, most: amountMax }],
  ['carry_over: { limit: 20 }', { base: 100, most: 20 }],
])('%s carries over unused units of the limit', (keys, carryOver) => {
  const policy = policyOf({ plans: planOf(`${quota}, ${keys}`) });
  expect(policy.plans.get('free')?.limits[0]).toMatchObject({ limit: 100, carryOver });
});

test('an override changes what is carried over, and a boost does not', () => {
  const policy = policyOf({ plans: planOf(`${quota}, carry_over: true`) });
  const nowMs = Date.now();
  const limitOf = (fields: Partial<TenantRecord>) => {
    const record = { tenant_id: 'acme', updated_at: '', updated_by: '', ...fields };
    return limitsFor(policy, { plan: null, record, route: null, nowMs }).limits[0];
  };
  const boost = {
    ...{ id: 'b', limit: 'month', multiply: 3, reason: '', actor: '' },
    starts_at: new Date(nowMs - 1000).toISOString(),
    ends_at: new Date(nowMs + 60_000).toISOString(),
  };
  expect(limitOf({ boosts: [boost] })).toMatchObject({ limit: 300, carryOver: { base: 100 } });
  expect(limitOf({ overrides: { month: 40 } })).toMatchObject({ limit: 40, carryOver: { base: 40 } });
  expect(limitOf({ overrides: { month: 40 }, boosts: [boost] })).toMatchObject({
    limit: 120,
    carryOver: { base: 40 },
  });
});

test.each([
  [
    'per: tenant, window: 1m, carry_over: true',
    /carry_over: is allowed with type quota and per: tenant only/,
  ],
  [
    'per: [tenant, user], window: 1d, type: quota, carry_over: true',
    /carry_over: is allowed with type quota and per: tenant only/,
  ],
  [`${quota}, carry_over: { limit: 0.5 }`, /carry_over\.limit: is 0\.5, but must be a whole number of units/],
  [`${quota}, carry_over: false`, /carry_over: .*true \(all unused units of a quota/],
  [`${quota}, carry_over: { limt: 5 }`, /carry_over/],
])('%s is refused with its line', (keys, violation) => {
  const [text] = violationsOf({ plans: planOf(keys) });
  expect(text).toMatch(/^policy\.yaml:7:\d+: plans\.free\.limits\[0\]\./);
  expect(text).toMatch(violation);
});
