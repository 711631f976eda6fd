import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';

import { encodeNative } from '../../../shared/clickhouse/native.ts';
import type { NativeColumn } from '../../../shared/clickhouse/native.ts';
import { moneyText, readMoney } from '../../../shared/domain/money.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';

const { database } = uniqueNamespace();
let clickhouse: ClickHouse;
beforeAll(async () => {
  const connection = { url: servers().clickhouseUrl };
  const outside = createClickHouse({ ...connection, database: 'default' });
  await outside.command(`CREATE DATABASE ${database}`);
  await outside.close();
  clickhouse = createClickHouse({ ...connection, database });
});
afterAll(async () => {
  await clickhouse.command(`DROP DATABASE ${database}`);
  await clickhouse.close();
});

interface Row {
  readonly n: number;
  readonly flag: boolean;
  readonly small: number;
  readonly medium: number;
  readonly signed: number;
  readonly single: number;
  readonly real: number;
  readonly large: number;
  /** A string, because a JSON number has too few digits. */
  readonly money: string;
  readonly bits: string;
  readonly at: number;
  readonly words: string;
  readonly label: string;
  readonly labels: readonly string[];
  readonly entries: Readonly<Record<string, string>>;
}

const columns: readonly NativeColumn<Row>[] = [
  { name: 'n', type: 'UInt32', of: ({ n }) => n },
  { name: 'flag', type: 'Bool', of: ({ flag }) => flag },
  { name: 'small', type: 'UInt16', of: ({ small }) => small },
  { name: 'medium', type: 'UInt32', of: ({ medium }) => medium },
  { name: 'signed', type: 'Int32', of: ({ signed }) => signed },
  { name: 'single', type: 'Float32', of: ({ single }) => single },
  { name: 'real', type: 'Float64', of: ({ real }) => real },
  { name: 'large', type: 'UInt64', of: ({ large }) => large },
  { name: 'money', type: 'Decimal(38, 12)', of: ({ money }) => readMoney(money) ?? 0n },
  { name: 'bits', type: 'UInt64', of: ({ bits }) => BigInt(bits) },
  { name: 'at', type: "DateTime64(3, 'UTC')", of: ({ at }) => at },
  { name: 'words', type: 'String', of: ({ words }) => words },
  { name: 'label', type: 'LowCardinality(String)', of: ({ label }) => label },
  { name: 'labels', type: 'Array(LowCardinality(String))', of: ({ labels }) => labels },
  { name: 'entries', type: 'Map(LowCardinality(String), String)', of: ({ entries }) => entries },
];

async function insertAndRead(rows: readonly Row[]): Promise<Row[]> {
  await clickhouse.command('DROP TABLE IF EXISTS kinds');
  await clickhouse.command(
    `CREATE TABLE kinds (${columns.map(({ name, type }) => `${name} ${type}`).join(', ')}) ENGINE = MergeTree ORDER BY n`,
  );
  const names = columns.map(({ name }) => name);
  await clickhouse.insertNative('kinds', names, [encodeNative(columns, rows)]);
  return clickhouse.query<Row>(
    `SELECT * REPLACE (toString(bits) AS bits, toString(money) AS money, toUnixTimestamp64Milli(at) AS at) FROM kinds ORDER BY n`,
  );
}

const words = fc.string({ unit: 'grapheme', maxLength: 40 });
const kind = fc.record({
  flag: fc.boolean(),
  small: fc.nat(65_535),
  medium: fc.nat(4_294_967_295),
  signed: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  single: fc.constantFrom(0, 0.5, -1.25, 12.5, 1024),
  real: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
  large: fc.nat(Number.MAX_SAFE_INTEGER),
  money: fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }).map(moneyText),
  bits: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
  at: fc.nat(4_102_444_800_000),
  words: fc.oneof(words, fc.constant('\n\n; DROP TABLE kinds')),
  label: words,
  labels: fc.array(words, { maxLength: 4 }),
  entries: fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), words, { maxKeys: 4, noNullPrototype: true }),
});

test('an insert does not wait in the queue of asynchronous inserts, which is the default of ClickHouse', async () => {
  expect(await clickhouse.query(`SELECT getSetting('async_insert') AS is_async`)).toEqual([
    { is_async: false },
  ]);
});

test('values inserted by columns are read back unchanged, of every type and with any text', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(kind, { minLength: 1, maxLength: 30 }), async (kinds) => {
      const rows = kinds.map((values, n) => ({ n, ...values }));
      expect(await insertAndRead(rows)).toEqual(rows);
    }),
    { numRuns: 25 },
  );
});

test.each([256, 257, 65_536, 65_537])(
  'with a dictionary of %i words every row keeps its word',
  async (count) => {
    const [values] = fc.sample(kind, { numRuns: 1, seed: 7 });
    if (values === undefined) throw new Error('no sample');
    const rows = Array.from({ length: count }, (_, n) => ({ ...values, n, label: `word ${n}`, words: '' }));
    await insertAndRead(rows);
    const found = await clickhouse.query<{ rows: number; right: number }>(
      `SELECT count() AS rows, countIf(label = concat('word ', toString(n)) AND words = '') AS right FROM kinds`,
    );
    expect(found).toEqual([{ rows: count, right: count }]);
  },
);
