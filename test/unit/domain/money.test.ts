// Goal: amounts of money are exact in decimal arithmetic, to the last digit, from the price to the sum.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  costOf,
  jsonMoney,
  moneyOf,
  moneyText,
  priceOf,
  readMoney,
  statedMoney,
} from '../../../shared/domain/money.ts';

const seed = Date.now() % 1_000_000;
console.log(`money: fast-check seed ${seed}`);

/** A decimal text with up to `decimalsMax` digits after the point, and its value as a whole number of 10⁻¹². */
const decimalArb = (wholeMax: bigint, decimalsMax: number) =>
  fc
    .tuple(fc.bigInt({ min: 0n, max: wholeMax }), fc.nat(decimalsMax), fc.nat())
    .map(([whole, decimals, fraction]) => {
      const digits = BigInt(fraction) % 10n ** BigInt(decimals);
      const tail = decimals === 0 ? '' : `.${digits.toString().padStart(decimals, '0')}`;
      return {
        text: `${whole}${tail}`,
        pico: whole * 10n ** 12n + digits * 10n ** BigInt(12 - decimals),
      };
    });

describe('decimals', () => {
  test('a text reads as the decimal it is and is written as it reads', () => {
    fc.assert(
      fc.property(decimalArb(10n ** 24n, 12), ({ text, pico }) => {
        expect(readMoney(text)).toBe(pico);
        expect(readMoney(moneyText(pico))).toBe(pico);
        expect(readMoney(moneyText(-pico))).toBe(-pico);
        expect(JSON.stringify({ cost: jsonMoney(pico) })).toMatch(/^\{"cost":[\d.e+-]+\}$/);
        const written = JSON.stringify(jsonMoney(pico));
        expect(readMoney(written), written).toBe(pico);
      }),
      { seed, numRuns: 3_000 },
    );
  });

  test('a number reads as the decimal that JSON writes it as, where a double holds its digits', () => {
    fc.assert(
      fc.property(
        fc.oneof(decimalArb(999n, 12), decimalArb(999_999_999n, 6), decimalArb(10n ** 15n, 0)),
        ({ text, pico }) => {
          expect(moneyOf(Number(text))).toBe(pico);
          expect(statedMoney(JSON.parse(text) as number)).toBe(pico);
        },
      ),
      { seed, numRuns: 3_000 },
    );
  });

  test.each([
    ['0.30000000000000004', 300_000_000_000n],
    ['0.0000000000005', 1n],
    ['0.0000000000004999', 0n],
    ['7.5e-5', 75_000_000n],
    ['1E3', 10n ** 15n],
    ['.5', null],
    ['1,5', null],
    ['0x10', null],
    ['Infinity', null],
    ['', null],
  ])('%s', (text, expected) => {
    expect(readMoney(text)).toBe(expected);
  });
});

describe('units × price', () => {
  const costInEvent = (units: number, price: number): bigint | null =>
    // Writes the cost as JSON and reads it back, as on its way through Kafka.
    statedMoney(JSON.parse(JSON.stringify(costOf(units, priceOf(price)))) as number | string);

  test('E6: is the exact product, for any price of up to 15 digits and any number of units', () => {
    fc.assert(
      fc.property(
        fc.oneof(decimalArb(0n, 12), decimalArb(999n, 12), decimalArb(999_999n, 9)),
        fc.oneof(fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 1, max: 1_000_000_000 })),
        ({ text, pico }, units) => {
          expect(costInEvent(units, Number(text))).toBe(BigInt(units) * pico);
        },
      ),
      { seed, numRuns: 5_000 },
    );
  });

  test.each([
    [3, 0.1, 0.3],
    [1_000_000, 0.000075, 75],
    [7, 1e-12, 7e-12],
    [1, 0, 0],
  ])('%d × %d is the number %d in the event', (units, price, cost) => {
    expect(costOf(units, priceOf(price))).toBe(cost);
  });

  test('a product with more digits than a number holds is a text', () => {
    expect(costOf(999_999_999, priceOf(0.123456789012))).toBe('123456788.888543210988');
    expect(costOf(2, priceOf(0.123456789012))).toBe(0.246913578024);
  });
});
