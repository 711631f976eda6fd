import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createPace } from '../../../services/alerter/pace.ts';

const options = { windowMs: 60_000, readingsMax: 6, keysMax: 3 };

test('growth is the difference over the window, whatever came before', () => {
  const pace = createPace(options);
  for (let second = 0; second <= 300; second += 1) pace.add('a', second * 1000, second * 2);
  const growth = pace.growth('a', 1000);
  expect(growth?.overMs).toBeGreaterThanOrEqual(60_000);
  expect(growth?.overMs).toBeLessThanOrEqual(80_000);
  expect(growth?.by).toBe((growth?.overMs ?? 0) / 500);
});

test('too short a time says nothing', () => {
  const pace = createPace(options);
  pace.add('a', 0, 0);
  expect(pace.growth('a', 1)).toBeNull();
  pace.add('a', 999, 10);
  expect(pace.growth('a', 1000)).toBeNull();
  expect(pace.growth('b', 0)).toBeNull();
});

test('a count that falls, as on a new day, starts anew', () => {
  const pace = createPace(options);
  pace.add('a', 0, 100);
  pace.add('a', 30_000, 200);
  pace.add('a', 40_000, 1);
  expect(pace.growth('a', 1)).toBeNull();
  pace.add('a', 50_000, 3);
  expect(pace.growth('a', 1)).toEqual({ by: 2, overMs: 10_000 });
});

test('growth is never negative and its span is never longer than what was seen', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(500_000), fc.nat(100)), { maxLength: 100 }), (readings) => {
      const pace = createPace(options);
      for (const [atMs, count] of readings) {
        pace.add('a', atMs, count);
        const growth = pace.growth('a', 1);
        if (growth === null) continue;
        expect(growth.by).toBeGreaterThanOrEqual(0);
        expect(growth.overMs).toBeLessThanOrEqual(500_000);
      }
    }),
  );
});
