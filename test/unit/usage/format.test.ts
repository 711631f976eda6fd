import { expect, test } from 'vitest';
import { isJsonPointer, pointerTokens } from '../../../shared/domain/usage/format.ts';

test('a JSON pointer is split and unescaped as RFC 6901 requires', () => {
  expect(pointerTokens('')).toEqual([]);
  expect(pointerTokens('/')).toEqual(['']);
  expect(pointerTokens('/a~1b/m~0n/0')).toEqual(['a/b', 'm~n', '0']);
  expect(pointerTokens('/~01')).toEqual(['~1']);
});

test.each(['a', '/~', '/~2', '#/a', 'a/b'])('%j is no JSON pointer', (text) => {
  expect(isJsonPointer(text)).toBe(false);
});

test.each(['', '/', '/a', '/usage/input tokens', '/~0~1/é'])('%j is a JSON pointer', (text) => {
  expect(isJsonPointer(text)).toBe(true);
});
