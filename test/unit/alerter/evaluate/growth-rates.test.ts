import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createGrowthRates } from '../../../../services/alerter/evaluate/growth-rates.ts';

const options = { windowMs: 60_000, readingsMax: 6, keysMax: 3 };

test('growth is the difference over the window, without earlier readings', () => {
  const rates = createGrowthRates(options);
  for (let second = 0; second <= 300; second += 1) rates.add('a', second * 1000, second * 2);
  const growth = rates.growth('a', 1000);
  expect(growth?.overMs).toBeGreaterThanOrEqual(60_000);
  expect(growth?.overMs).toBeLessThanOrEqual(80_000);
  expect(growth?.by).toBe((growth?.overMs ?? 0) / 500);
});

test('a span shorter than the minimum has no growth', () => {
  const rates = createGrowthRates(options);
  rates.add('a', 0, 0);
  expect(rates.growth('a', 1)).toBeNull();
  rates.add('a', 999, 10);
  expect(rates.growth('a', 1000)).toBeNull();
  expect(rates.growth('b', 0)).toBeNull();
});

test('a count that falls, as on a new day, starts again without its earlier readings', () => {
  const rates = createGrowthRates(options);
  rates.add('a', 0, 100);
  rates.add('a', 30_000, 200);
  rates.add('a', 40_000, 1);
  expect(rates.growth('a', 1)).toBeNull();
  rates.add('a', 50_000, 3);
  expect(rates.growth('a', 1)).toEqual({ by: 2, overMs: 10_000 });
});

test('growth is never negative and its span is never longer than the readings span', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(500_000), fc.nat(100)), { maxLength: 100 }), (readings) => {
      const rates = createGrowthRates(options);
      for (const [atMs, count] of readings) {
        rates.add('a', atMs, count);
        const growth = rates.growth('a', 1);
        if (growth === null) continue;
        expect(growth.by).toBeGreaterThanOrEqual(0);
        expect(growth.overMs).toBeLessThanOrEqual(500_000);
      }
    }),
  );
});
