import { expect, test } from 'vitest';
import {
  isMeasureName,
  isMeasureValue,
  standardMeasures,
  usageSources,
} from '../../../shared/domain/usage/measures.ts';

test('every standard measure has a valid name', () => {
  expect(standardMeasures.every(isMeasureName)).toBe(true);
  expect(new Set(standardMeasures).size).toBe(standardMeasures.length);
});

test.each(['', 'Input', '1st', '_x', 'a-b', 'a.b', 'a'.repeat(49), '__proto__'])(
  'a measure cannot be named %j',
  (name) => {
    expect(isMeasureName(name)).toBe(false);
  },
);

test.each([-1, 1.5, NaN, Infinity, 2 ** 53, '1', null, undefined, 1n])('a measure cannot be %s', (value) => {
  expect(isMeasureValue(value)).toBe(false);
});

test('zero and the largest safe integer are values of a measure', () => {
  expect(isMeasureValue(0)).toBe(true);
  expect(isMeasureValue(Number.MAX_SAFE_INTEGER)).toBe(true);
  expect(usageSources).toContain('reported');
});
