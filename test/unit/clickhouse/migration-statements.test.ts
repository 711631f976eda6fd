import { expect, test } from 'vitest';
import { checksumOf, statementsOf } from '../../../shared/clickhouse/migrate.ts';

test('comments and semicolons in them do not split statements', () => {
  expect(statementsOf('-- a; b;\nSELECT 1;\n\n-- c\nSELECT\n2;\n')).toEqual(['SELECT 1', 'SELECT\n2']);
});

test.each([
  ['a comment on its own line', 'SELECT 1;', '-- why\nSELECT 1;'],
  ['a comment behind code', 'SELECT 1,\n2;', 'SELECT 1, -- one\n2;'],
  ['a block comment', 'SELECT 1;', 'SELECT /* one\n */ 1;'],
  ['line breaks and indentation', 'SELECT 1 AS a;\nSELECT 2;', 'SELECT\n    1 AS a;\n\n\nSELECT  2;\n'],
])('%s leaves the checksum of a migration', (_, before, after) => {
  expect(checksumOf(after)).toBe(checksumOf(before));
});

test.each([
  ['a word', 'SELECT 1 AS a;', 'SELECT 1 AS b;'],
  ['a space in quoted text', "SELECT 'a b';", "SELECT 'a  b';"],
  ['quoted text that looks like a comment', "SELECT 'a -- b';", "SELECT 'a -- c';"],
  ['text behind an escaped quote', "SELECT 'it\\'s -- b';", "SELECT 'it\\'s -- c';"],
  ['text behind a doubled quote', "SELECT 'it''s -- b';", "SELECT 'it''s -- c';"],
  ['the place of a statement', 'SELECT 1;\nSELECT 2;', 'SELECT 2;\nSELECT 1;'],
  ['the end of a statement', 'SELECT 1;\nSELECT 2;', 'SELECT 1 SELECT 2;'],
])('%s changes the checksum of a migration', (_, before, after) => {
  expect(checksumOf(after)).not.toBe(checksumOf(before));
});
