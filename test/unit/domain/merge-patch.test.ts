import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mergePatch } from '../../../shared/domain/merge-patch.ts';

/** Appendix A of RFC 7396: original, patch, result. */
const appendix: readonly (readonly [unknown, unknown, unknown])[] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
];

test.each(appendix)('%j patched by %j is %j', (original, patch, result) => {
  expect(mergePatch(original, patch)).toEqual(result);
});

test('a patch changes neither the original nor itself, and its members end up as it says', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.dictionary(fc.string(), fc.jsonValue()),
      (original, patch) => {
        const before = JSON.stringify([original, patch]);
        const merged = mergePatch(original, patch) as Record<string, unknown>;
        expect(JSON.stringify([original, patch])).toBe(before);
        for (const [name, value] of Object.entries(patch)) {
          if (value === null) expect(Object.hasOwn(merged, name)).toBe(false);
          else if (typeof value !== 'object') expect(merged[name]).toBe(value);
        }
        for (const [name, value] of Object.entries(original))
          if (!Object.hasOwn(patch, name)) expect(merged[name]).toEqual(value);
      },
    ),
  );
});
