// Goal: the cost of a call is exact, and an amount of money is never less than the cost.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readMoney } from '../../../shared/domain/money.ts';
import {
  compareSpecificity,
  matchesModel,
  matchesSameModel,
} from '../../../shared/domain/usage/model-pattern.ts';
import { amountsOf, priceOfModel } from '../../../shared/domain/usage/prices.ts';
import { amountMax, amountText, minorUnits } from '../../../shared/domain/usage/quantity.ts';
import type { Quantity } from '../../../shared/domain/usage/quantity.ts';
import { compilePrices } from '../../../shared/policy/file/usage/prices.ts';

const seed = Date.now() % 1_000_000;
console.log(`prices: fast-check seed ${seed}`);

const usd = (decimals: number): Quantity => ({ name: 'usd', decimals, kind: 'cost', measures: [] });
const tokens: Quantity = {
  name: 'tokens',
  decimals: 0,
  kind: 'sum',
  measures: ['input_tokens', 'output_tokens'],
};
const quantities = new Map([
  ['tokens', tokens],
  ['usd', usd(6)],
]);

/** A price with up to 6 decimals, as a number of a policy file and as a numerator over 10^6. */
const price = fc.nat(2_000_000).map((micros) => ({ value: Number(`${micros}e-6`), micros: BigInt(micros) }));
const count = fc.oneof(fc.nat(1_000), fc.nat(5_000_000));
const names = ['input_tokens', 'output_tokens', 'cached_input_tokens', 'cache_write_input_tokens'] as const;

describe('F1: the cost of a call', () => {
  test('equals the sum of exact fractions; the amount is rounded up to the decimals of the quantity', () => {
    fc.assert(
      fc.property(
        fc.tuple(price, price, fc.option(price), fc.option(price)),
        fc.tuple(count, count, count, count),
        fc.constantFrom(1, 1_000, 1_000_000),
        fc.nat(6),
        ([input, output, cached, written], [inputs, outputs, cachedCount, writtenCount], per, decimals) => {
          const all = inputs + cachedCount + writtenCount;
          const list = compilePrices([
            {
              ...{ model: '*', per, input_tokens: input.value, output_tokens: output.value },
              ...(cached === null ? {} : { cached_input_tokens: cached.value }),
              ...(written === null ? {} : { cache_write_input_tokens: written.value }),
            },
          ]);
          const measures = {
            ...{ input_tokens: all, output_tokens: outputs },
            ...{ cached_input_tokens: cachedCount, cache_write_input_tokens: writtenCount },
          };
          // Numerator over 10^6 × per, without any rounding.
          const numerator =
            BigInt(inputs) * input.micros +
            BigInt(outputs) * output.micros +
            BigInt(cachedCount) * (cached ?? input).micros +
            BigInt(writtenCount) * (written ?? input).micros;
          const denominator = 1_000_000n * BigInt(per);
          const pricing = { quantities: new Map([['usd', usd(decimals)]]), prices: list };
          const usage = amountsOf(pricing, 'any', measures);
          expect((usage?.cost ?? -1n) * denominator).toBe(numerator * 10n ** 12n);
          const smallest = BigInt(usage?.amounts['usd'] ?? -1);
          expect(smallest * denominator).toBeGreaterThanOrEqual(numerator * 10n ** BigInt(decimals));
          expect((smallest - 1n) * denominator).toBeLessThan(numerator * 10n ** BigInt(decimals));
        },
      ),
      { seed, numRuns: 2_000 },
    );
  });

  test('a price of 0.15 per million costs exactly that per million', () => {
    const prices = compilePrices([{ model: '*', per: 1_000_000, input_tokens: 0.15, output_tokens: 0.6 }]);
    const usage = amountsOf({ quantities, prices }, null, { input_tokens: 1_000_000, output_tokens: 1 });
    expect(usage).toEqual({ amounts: { tokens: 1_000_001, usd: 150_001 }, cost: readMoney('0.1500006') });
  });

  test('cached tokens without the number of input tokens are charged at their own price', () => {
    const prices = compilePrices([{ model: '*', input_tokens: 2, cached_input_tokens: 1 }]);
    expect(amountsOf({ quantities, prices }, null, { cached_input_tokens: 3 })?.cost).toBe(readMoney('3'));
  });

  test('an absurd number of tokens is the largest amount that Redis stores', () => {
    const prices = compilePrices([{ model: '*', output_tokens: 1_000_000 }]);
    const usage = amountsOf({ quantities, prices }, null, { output_tokens: Number.MAX_SAFE_INTEGER });
    expect(usage?.amounts).toEqual({ tokens: amountMax, usd: amountMax });
    for (const name of names) expect(amountsOf({ quantities, prices }, null, { [name]: 0 })?.cost).toBe(0n);
  });

  test('a policy without prices has no cost; a model without a price has no result', () => {
    expect(amountsOf({ quantities: new Map(), prices: [] }, 'm', {})).toEqual({ amounts: {}, cost: null });
    expect(amountsOf({ quantities, prices: compilePrices([{ model: 'a' }]) }, 'b', {})).toBeNull();
    expect(amountsOf({ quantities, prices: compilePrices([{ model: 'a*' }]) }, null, {})).toBeNull();
  });
});

describe('the price of a model', () => {
  test('is that of the most specific pattern', () => {
    const prices = compilePrices(
      ['*', 'gpt-*', 'gpt-4o', '*gpt-4o-mini*', 'gpt-4o-*'].map((model) => ({ model })),
    );
    const patternOf = (model: string): string | undefined => priceOfModel(prices, model)?.model;
    expect(patternOf('gpt-4o')).toBe('gpt-4o');
    expect(patternOf('gpt-4o-2024')).toBe('gpt-4o-*');
    expect(patternOf('gpt-4o-mini-2024')).toBe('*gpt-4o-mini*');
    expect(patternOf('gpt-3')).toBe('gpt-*');
    expect(patternOf('claude')).toBe('*');
  });

  const text = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 });
  const model = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 8 });
  const expression = (pattern: string): RegExp => new RegExp(`^${pattern.replaceAll('*', '.*')}$`);

  test('a pattern matches as the regular expression with .* for each *', () => {
    fc.assert(
      fc.property(text, model, (pattern, name) => {
        expect(matchesModel(pattern, name)).toBe(expression(pattern).test(name));
      }),
      { seed, numRuns: 3_000 },
    );
  });

  test('patterns that match a common model are found to do so', () => {
    fc.assert(
      fc.property(text, text, model, (a, b, name) => {
        if (matchesModel(a, name) && matchesModel(b, name)) expect(matchesSameModel(a, b)).toBe(true);
        expect(matchesSameModel(a, b)).toBe(matchesSameModel(b, a));
        expect(Math.sign(compareSpecificity(a, b))).toBe(0 - Math.sign(compareSpecificity(b, a)));
      }),
      { seed, numRuns: 3_000 },
    );
    expect(matchesSameModel('a*', '*b')).toBe(true);
    expect(matchesSameModel('a*', 'b*')).toBe(false);
    expect(matchesSameModel('a*b', 'ab*a')).toBe(false);
  });
});

describe('an amount of a quantity', () => {
  test('is the same decimal outside and in smallest units', () => {
    fc.assert(
      fc.property(fc.nat(9), fc.maxSafeNat(), (decimals, number) => {
        const minor = number % (amountMax + 1);
        const outside = amountText({ decimals }, minor);
        expect(readMoney(outside)).toBe(BigInt(minor) * 10n ** BigInt(12 - decimals));
        expect(minorUnits({ decimals }, Number(outside)), outside).toBe(minor);
      }),
      { seed, numRuns: 3_000 },
    );
  });

  test.each([
    [6, 0.29, 290_000],
    [6, 0.0000005, null],
    [0, 0.5, null],
    [0, -1, null],
    [0, amountMax + 1, null],
    [2, Number.NaN, null],
  ])('with %d decimals, %d is %s smallest units', (decimals, value, minor) => {
    expect(minorUnits({ decimals }, value)).toBe(minor);
  });
});
