import fc from 'fast-check';
import { v4, v7 } from 'uuid';
import { expect, test } from 'vitest';
import { uuidTimeMs } from '../../../shared/runtime/uuid-time.ts';

test('a UUIDv7 in lower case returns the millisecond at which it was made', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), (msecs) => {
      expect(uuidTimeMs(v7({ msecs }))).toBe(msecs);
    }),
  );
});

test.each([
  ['another version', v4()],
  ['upper case', '019AA4C2-6F00-7ABC-8DEF-0123456789AB'],
  ['another variant', '019aa4c2-6f00-7abc-cdef-0123456789ab'],
  ['no hyphens', '019aa4c26f007abc8def0123456789ab'],
  ['text around it', ' 019aa4c2-6f00-7abc-8def-0123456789ab'],
  ['a line break behind it', '019aa4c2-6f00-7abc-8def-0123456789ab\n'],
  ['the highest UUID', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
  ['empty text', ''],
])('%s returns null', (_, id) => {
  expect(uuidTimeMs(id)).toBeNull();
});
