// Goal: the price of a plan is an exact decimal in the policy's currency, or is refused with advice.
import { describe, expect, test } from 'vitest';
import { policyOf, violationsOf } from '../text.ts';

describe('the price of a plan', () => {
  const priced = (price: string): Record<string, string> => ({
    plans: `{ free: { price: ${price}, limits: [{ name: minute, per: tenant, limit: 5, window: 1m }] } }`,
  });

  test.each([
    ['0', 0n],
    ['49', 49_000_000_000_000n],
    ['49.9', 49_900_000_000_000n],
    ['0.1', 100_000_000_000n],
  ])('%s is an exact decimal', (text, price) => {
    const policy = policyOf({ ...priced(text), currency: 'EUR' });
    expect([policy.plans.get('free')?.price, policy.currency]).toEqual([price, 'EUR']);
  });

  test('a policy without prices of plans needs no currency', () => {
    const policy = policyOf();
    expect([policy.plans.get('free')?.price, policy.currency]).toEqual([null, null]);
  });

  test.each([
    [priced('49'), /plans\.free\.price: needs a currency; add the key "currency"/],
    [{ ...priced('-1'), currency: 'EUR' }, /plans\.free\.price/],
    [{ ...priced('1e-13'), currency: 'EUR' }, /plans\.free\.price: has more than 12 decimals/],
    [{ ...priced('49'), currency: 'euro' }, /currency: is "euro", but must be the currency of all prices/],
  ])('%o is refused with advice', (parts, violation) => {
    expect(violationsOf(parts).join()).toMatch(violation);
  });
});
