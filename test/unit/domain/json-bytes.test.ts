import fc from 'fast-check';
import { expect, test } from 'vitest';
import { repeatedName } from '../../../shared/domain/json-bytes.ts';

const repeated = (text: string): string | null => repeatedName(text, JSON.parse(text));

test.each([
  ['{"a":1,"a":2}', 'a'],
  ['{"a":1,"b":{"c":[{"d":1,"d":2}]}}', 'd'],
  ['{"a":1,"\\u0061":2}', 'a'],
  ['{"":1,"":2}', ''],
  ['{"__proto__":1,"__proto__":2}', '__proto__'],
  ['{"a":"a","b":["a","a"],"c":{"a":1}}', null],
  ['[{"a":1},{"a":2}]', null],
  ['{"a":"\\"a\\":1,","b":"{\\"b\\":1}"}', null],
  ['{"\\\\":1,"b\\\\\\"":2}', null],
  ['{"a\\\\":1, "a\\\\" \n:2}', 'a\\'],
  ['"a"', null],
  ['[]', null],
])('%s', (text, name) => {
  expect(repeated(text)).toBe(name);
});

test('whatever JSON.stringify writes has no name twice, and a copy of a member is found', () => {
  const run = fc.check(
    fc.property(fc.jsonValue({ maxDepth: 4 }), fc.string(), (value, name) => {
      const text = JSON.stringify(value);
      expect(repeated(text)).toBeNull();
      const member = `${JSON.stringify(name)}:${text}`;
      expect(repeated(`{${member} , ${member}}`)).toBe(name);
      expect(repeated(`[{${member}},{${member}}]`)).toBeNull();
    }),
    { numRuns: 300 },
  );
  console.log(`names of JSON: fast-check seed ${run.seed}`);
  expect(run.failed, JSON.stringify(run.counterexample)).toBe(false);
});
