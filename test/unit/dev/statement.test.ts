import { expect, test } from 'vitest';
import { splitInsert, statementOf, streams } from '../../../tools/clickhouse-local/statement.ts';

test.each([
  ['SELECT 1', 'select', 'TSV'],
  ['-- why\n/* and */ select 1 format JSON', 'select', 'JSON'],
  ['WITH 1 AS x SELECT x FORMAT CSV SETTINGS max_threads = 1;', 'select', 'CSV'],
  ['((SELECT 1) UNION ALL (SELECT 2))', 'select', 'TSV'],
  ['INSERT INTO t (a, b) FORMAT JSONEachRow', 'insert', 'JSONEachRow'],
  ["SELECT 'FORMAT JSON'", 'select', 'TSV'],
  ['SHOW TABLES', 'other', 'TSV'],
  ['', 'other', 'TSV'],
])('%j is read as %s in %s', (sql, kind, format) => {
  expect(statementOf(sql, 'TSV')).toEqual({ kind, format });
});

test('only what can be joined block by block is streamed', () => {
  expect(streams(statementOf('SELECT 1 FORMAT JSONEachRow', 'TSV'))).toBe(true);
  expect(streams(statementOf('SELECT 1 FORMAT JSON', 'TSV'))).toBe(false);
  expect(streams(statementOf('SELECT 1 FORMAT CSVWithNames', 'TSV'))).toBe(false);
  expect(streams(statementOf('EXISTS TABLE t', 'TSV'))).toBe(false);
});

test('an insert is cut from its data after the format, and not inside it', () => {
  const cut = splitInsert(Buffer.from('INSERT INTO t FORMAT CSV\n1,"FORMAT TSV\n"'));
  expect([cut?.prefix, cut?.format, cut?.data.toString()]).toEqual([
    'INSERT INTO t FORMAT CSV',
    'CSV',
    '1,"FORMAT TSV\n"',
  ]);
  expect(splitInsert(Buffer.from('INSERT INTO t FORMAT JSONEachRow {"a":1}'))?.data.toString()).toBe(
    '{"a":1}',
  );
  expect(splitInsert(Buffer.from("INSERT INTO t VALUES (1, 'FORMAT')"))).toBeNull();
  expect(splitInsert(Buffer.from('SELECT 1 FORMAT CSV\n'))).toBeNull();
});
