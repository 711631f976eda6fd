import { describe, expect, test } from 'vitest';
import { attributeLengthMax, attributeValuesMax } from '../../../shared/redis/decision/attribute-subjects.ts';
import { createSubjects } from '../../../shared/redis/decision/subjects.ts';

const caller = { tenantId: 'acme', userId: 'ann', ip: '192.0.2.1' };

describe('F2: the counters of attributes', () => {
  test("are in their tenant's slot, apart for each combination of values, and never equal to another key", () => {
    const subjects = createSubjects('p');
    const keyOf = (kind: Parameters<typeof subjects.of>[0], attributes?: Record<string, string>): string =>
      subjects.of(kind, { ...caller, attributes }).key;
    const keys = [
      keyOf('tenant'),
      keyOf('user'),
      keyOf('tenant+model', { model: 'a' }),
      keyOf('tenant+model', { model: 'b' }),
      keyOf('tenant+model', { model: '' }),
      keyOf('tenant+team', { team: 'a' }),
      keyOf('tenant+model,team', { model: 'a', team: 'b' }),
      keyOf('tenant+model,team', { model: 'a\nb', team: '' }),
      keyOf('user+model', { model: 'a' }),
      keyOf('tenant+model', { model: '{x}:u:ann' }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys.every((key) => key.startsWith('p:{acme}') && !key.slice(8).includes('{'))).toBe(true);
    expect(subjects.of('tenant+model', { ...caller, attributes: { model: 'a' } }).owner).toBe(
      subjects.tenant('acme'),
    );
    expect(keyOf('tenant+model'), 'a missing value is an empty one').toBe(
      keyOf('tenant+model', { model: '' }),
    );
  });

  test('values beyond the bounds of number and length share one counter of their tenant', () => {
    const subjects = createSubjects('p');
    const keyOf = (model: string, tenantId = 'acme'): string =>
      subjects.of('tenant+model', { ...caller, tenantId, attributes: { model } }).key;
    const keys = Array.from({ length: attributeValuesMax + 50 }, (_, index) => keyOf(`m${index}`));
    expect(new Set(keys).size).toBe(attributeValuesMax + 1);
    expect(keyOf('m7')).toBe(keys[7]);
    expect(keyOf('new', 'other')).not.toBe(keyOf('newer', 'other'));
    expect(keyOf('x'.repeat(attributeLengthMax + 1), 'other')).toBe(keyOf('y'.repeat(9_000), 'other'));
  });
});
