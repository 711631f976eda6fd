import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { allPanels, builtDashboards } from '../../../dashboards/render.ts';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { expandMacros, interpolate } from '../../integration/dashboards/grafana-variables.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';

interface Statement {
  readonly sql: string;
  readonly parameters?: Readonly<Record<string, string>>;
}

interface Result {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly error: string;
}

/** Runs the statements with clickhouse-go, which pings the server first. */
async function withClickHouseGo(
  statements: readonly Statement[],
  compression: 'none' | 'gzip' = 'none',
): Promise<readonly Result[]> {
  const { host } = new URL(servers().clickhouseUrl);
  const child = spawn('go', ['run', '.', host, compression], {
    cwd: import.meta.dirname,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(JSON.stringify(statements));
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  if (child.exitCode !== 0) throw new Error(`clickhouse-go ended with ${String(child.exitCode)}`);
  return JSON.parse(output) as Result[];
}

/** Expression of a column → its value in the row of `number` 1, as Go prints it. */
const columns: readonly (readonly [expression: string, value: string])[] = [
  ...[8, 16, 32, 64, 128, 256].flatMap((bits) => [
    [`toUInt${bits}(number)`, '1'] as const,
    [`toInt${bits}(-number)`, '-1'] as const,
  ]),
  ['toFloat32(number / 2)', '0.5'],
  ['toFloat64(number / 4)', '0.25'],
  ['toBool(number = 1)', 'true'],
  ["toDecimal32(number, 2) + toDecimal32('0.25', 2)", '1.25'],
  ['toDecimal64(number, 4)', '1'],
  ['toDecimal128(number, 10)', '1'],
  ['toDecimal256(number, 10)', '1'],
  ["repeat('é', number * 200)", 'é'.repeat(200)],
  ["toFixedString('abc', 3)", 'abc'],
  ["toDate('2026-01-02') + number", '2026-01-03 00:00:00 +0000 UTC'],
  ["toDate32('1930-01-02')", '1930-01-02 00:00:00 +0000 UTC'],
  ["toDateTime('2026-01-02 03:04:05', 'UTC')", '2026-01-02 03:04:05 +0000 UTC'],
  ["toDateTime64('2026-01-02 03:04:05.678', 3, 'UTC')", '2026-01-02 03:04:05.678 +0000 UTC'],
  ["toUUID('019b76da-a800-7000-8000-000000000001')", '019b76da-a800-7000-8000-000000000001'],
  ["toIPv4('192.0.2.1')", '192.0.2.1'],
  ["toIPv6('2001:db8::1')", '2001:db8::1'],
  ["CAST(number % 2 + 1, 'Enum8(\\'a\\' = 1, \\'b, )\\' = 2)')", 'b, )'],
  ["CAST(number % 2 + 1, 'Enum16(\\'a\\' = 1, \\'b\\' = 2)')", 'b'],
  ["toLowCardinality(concat('low ', toString(number)))", 'low 1'],
  ["CAST(if(number = 1, NULL, 'x'), 'LowCardinality(Nullable(String))')", 'null'],
  ['if(number = 1, NULL, number)', 'null'],
  ['toNullable(number)', '1'],
  ['range(number * 2)', '[0 1]'],
  ['arrayMap(i -> arrayMap(j -> toString(j), range(i)), range(number * 3))', '[[] [0] [0 1]]'],
  ["CAST(if(number = 1, [], ['a']), 'Array(LowCardinality(String))')", '[]'],
  ["CAST(['a', NULL], 'Array(LowCardinality(Nullable(String)))')", '[a null]'],
  ["map('key', number)", 'map[key:1]'],
  ["CAST(map('a', ['x']), 'Map(LowCardinality(String), Array(String))')", 'map[a:[x]]'],
  ["(number, 'two')", '[1 two]'],
  ["CAST((number, 'two'), 'Tuple(a UInt64, b String)')", 'map[a:1 b:two]'],
  ['toIntervalDay(number)', '1 Day'],
  ['(1.5, 2.5)::Point', '[1.5 2.5]'],
  ['[(1.5, 2.5)]::Ring', '[[1.5 2.5]]'],
];

describe('clickhouse-go over HTTP, which Grafana’s data source uses', () => {
  test('pings, and reads every type of column, with the next column in its place', async () => {
    const results = await withClickHouseGo(
      columns.map(([expression]) => ({
        sql: `SELECT ${expression} AS value, toString(number) AS next FROM numbers(3)`,
      })),
    );
    const read = columns.map(([expression], index) => {
      const { error, rows } = results[index] ?? { error: 'no result', rows: [] };
      return [expression, rows[1]?.[0] ?? error, rows.map(([, next]) => next).join()];
    });
    expect(read).toEqual(columns.map(([expression, value]) => [expression, value, '0,1,2']));
  });

  test('reads all types in one block, many blocks, and results without rows, also compressed', async () => {
    const all = columns.map(([expression], index) => `${expression} AS c${index}`).join(', ');
    for (const compression of ['none', 'gzip'] as const) {
      const [row, many, none, tables] = await withClickHouseGo(
        [
          { sql: `SELECT ${all} FROM numbers(3)` },
          {
            sql: 'SELECT number, toLowCardinality(toString(number % 7)) FROM numbers(5000) SETTINGS max_block_size = 100',
          },
          { sql: `SELECT ${all} FROM numbers(0)` },
          { sql: 'SHOW DATABASES' },
        ],
        compression,
      );
      expect([row?.error, row?.rows.length, row?.columns.length]).toEqual(['', 3, columns.length]);
      expect(many?.rows.map(([number, rest]) => Number(number) % 7 === Number(rest)).every(Boolean)).toBe(
        true,
      );
      expect([many?.error, many?.rows.length]).toEqual(['', 5000]);
      expect([none?.error, none?.rows]).toEqual(['', []]);
      expect(tables?.rows.flat()).toContain('system');
    }
  });

  test('passes parameters, and reads the message of an error', async () => {
    const [bound, wrong] = await withClickHouseGo([
      {
        sql: 'SELECT {tenant:String} AS tenant, {units:UInt64} + 1 AS units',
        parameters: { tenant: "x' OR 1=1 --", units: '41' },
      },
      { sql: 'SELECT no_such_column' },
    ]);
    expect(bound?.rows).toEqual([["x' OR 1=1 --", '42']]);
    expect(wrong?.error).toMatch(/code: 47|UNKNOWN_IDENTIFIER/);
  });

  test('B8: reads every ClickHouse panel of the dashboards', async () => {
    const { database } = uniqueNamespace();
    const clickhouse = createClickHouse({ url: servers().clickhouseUrl, database });
    try {
      await migrate(clickhouse);
      const timeMs = Date.now() - 10 * 60_000;
      await storeUsage(clickhouse, [
        { timeMs, tenant: 'acme', cost: 1 },
        { timeMs, tenant: 'acme', decision: 'limited', limitedBy: ['minute'] },
      ]);
      const view = { fromMs: timeMs - 3_600_000, toMs: Date.now(), intervalMs: 60_000 };
      const shown = {
        ...view,
        variables: { database, tenant: 'acme', plan: 'free', quantity: 'tokens', currency: 'USD' },
      };
      const queries = [...builtDashboards().values()]
        .flatMap(allPanels)
        .flatMap((panel) => ('targets' in panel ? (panel.targets ?? []) : []))
        .map((target) => (target as unknown as { readonly rawSql?: string }).rawSql)
        .filter((sql) => sql !== undefined)
        .map((sql) => ({ sql: expandMacros(interpolate(sql, shown), shown) }));
      const results = await withClickHouseGo(queries);
      expect(
        results.map(({ error }, index) => (error === '' ? '' : `${queries[index]?.sql}: ${error}`)),
      ).toEqual(queries.map(() => ''));
    } finally {
      await clickhouse.command(`DROP DATABASE ${database} SYNC`);
      await clickhouse.close();
    }
  });
});
