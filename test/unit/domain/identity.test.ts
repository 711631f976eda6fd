// Goal: all code agrees whether a text is a valid id, and which tenant or user it names.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { problemOfId, problemOfTenantId } from '../../../shared/domain/identity.ts';

describe('ids', () => {
  test.each(['acme', 'a b', '{a}:✓', '5', '\u00e9', 'a'.repeat(256), '🦊', 'user@example.com'])(
    '%j is an id',
    (id) => {
      expect(problemOfId(id)).toBeNull();
      expect(problemOfTenantId(id)).toBeNull();
    },
  );

  test.each(['.', '..'])('%j is no tenant: a client would resolve it in the path of the admin API', (id) => {
    expect(new URL(`http://admin/tenants/${encodeURIComponent(id)}/block`).pathname).not.toContain(`/${id}/`);
    expect(problemOfTenantId(id)).toMatch(/dot segment/);
  });

  test.each([
    ['', /empty/],
    [' ', /white space/],
    ['acme ', /white space/],
    ['\u00a0acme', /white space/],
    ['a\u3000', /white space/],
    ['a\nb', /control/],
    ['a\u0000', /control/],
    ['a\u2028b', /control/],
    ['\ud800', /well-formed/],
    ['x'.repeat(257), /longer than 256/],
    ['e\u0301', /NFC/],
    ['\u212b', /NFC/],
  ])('%j is none', (id, problem) => {
    expect(problemOfId(id)).toMatch(problem);
    expect(problemOfTenantId(id)).toMatch(problem);
  });

  test('ids that Tollgate uses itself are no tenants, and users may have them', () => {
    for (const id of ['anonymous', 'tollgate-heartbeat']) {
      expect(problemOfTenantId(id)).toMatch(/reserved/);
      expect(problemOfId(id)).toBeNull();
    }
  });

  test('of the ways to write the same text one is an id', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }), (text) => {
        const forms = new Set((['NFC', 'NFD', 'NFKC', 'NFKD'] as const).map((form) => text.normalize(form)));
        const equal = [...forms].filter((form) => form.normalize('NFC') === text.normalize('NFC'));
        expect(equal.filter((form) => problemOfId(form) === null).length).toBeLessThanOrEqual(1);
      }),
      { seed: 20_261_126 },
    );
  });
});
