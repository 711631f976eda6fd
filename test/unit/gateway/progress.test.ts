import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Progress } from '../../../services/gateway/transport/progress.ts';

const windowMs = 1_000;

test('a window of waiting in which the minimum of bytes arrives is no stall, one with fewer bytes is', () => {
  const progress = new Progress();
  expect(progress.stalls(250, 5_000, windowMs, 100)).toBe(false);
  const stalls = [5_025, 5_050, 5_075, 5_100].map((bytes) => progress.stalls(250, bytes, windowMs, 100));
  expect(stalls).toEqual([false, false, false, false]);
  const next = [5_125, 5_150, 5_175, 5_199].map((bytes) => progress.stalls(250, bytes, windowMs, 100));
  expect(next).toEqual([false, false, false, true]);
});

test('interrupted waits are no stall', () => {
  const progress = new Progress();
  for (let check = 0; check < 100; check += 1) {
    expect(progress.stalls(400, 0, windowMs, 100)).toBe(false);
    if (check % 3 === 2) progress.reset();
  }
});

test('a minimum of 0 never stalls', () => {
  const progress = new Progress();
  for (let check = 0; check < 100; check += 1) expect(progress.stalls(400, 0, windowMs, 0)).toBe(false);
});

test('at any times of the checks: a steady rate below the minimum stalls within two windows, one above it never does', () => {
  const rates = fc.tuple(fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 1, max: 1_000 }));
  const gaps = fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 4_000, maxLength: 4_000 });
  fc.assert(
    fc.property(rates, gaps, ([perSecond, minimum], steps) => {
      const progress = new Progress();
      let atMs = 0;
      let stalledAtMs: number | null = null;
      for (const gap of steps) {
        atMs += gap;
        if (progress.stalls(gap, (atMs * perSecond) / 1_000, windowMs, minimum)) stalledAtMs ??= atMs;
        if (atMs > 4 * windowMs) break;
      }
      // At exactly the minimum, the rounding of the last byte decides, so both results are right.
      if (perSecond > minimum) expect(stalledAtMs).toBeNull();
      if (perSecond < minimum) expect(stalledAtMs ?? Infinity).toBeLessThanOrEqual(2 * windowMs + 1_000);
    }),
    { numRuns: 50 },
  );
});
