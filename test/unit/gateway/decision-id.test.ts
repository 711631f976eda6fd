import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createDecisionIds } from '../../../services/gateway/enforcer/decision-id.ts';

test('ids are UUIDv7s of their time', () => {
  const id = createDecisionIds({ now: () => 0x0123456789ab })();
  expect(id).toMatch(/^01234567-89ab-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test('ids never repeat and sort in the order of their generation, with a clock that stands still or runs backwards', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 100, maxLength: 9_000 }), (steps) => {
      let now = 1_800_000_000_000;
      let step = 0;
      const next = createDecisionIds({ now: () => (now += steps[step++ % steps.length] ?? 0) });
      const ids = Array.from({ length: 9_000 }, next);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.toSorted()).toEqual(ids);
    }),
    { numRuns: 20, seed: 7 },
  );
});

test('every random digit of an id takes all of its values', () => {
  const next = createDecisionIds({ now: () => 1_800_000_000_000 });
  const ids = Array.from({ length: 4_000 }, next);
  const randomFrom = 'xxxxxxxx-xxxx-7xxx-'.length;
  for (let at = randomFrom; at < 36; at += 1) {
    const values = new Set(ids.map((id) => id[at]));
    expect(values.size, `digit ${at}`).toBe(at === randomFrom ? 4 : at === 23 ? 1 : 16);
  }
});
