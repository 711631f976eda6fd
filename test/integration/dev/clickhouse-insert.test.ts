import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createClickHouseHttp } from '../../support/clickhouse-http.ts';
import type { ClickHouseHttp } from '../../support/clickhouse-http.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';

/** Inserts by HTTP requests without a client library, as a client in any language can send them. */
const { database } = uniqueNamespace();
let send: ClickHouseHttp['send'];
let text: ClickHouseHttp['text'];
beforeAll(async () => {
  await createClickHouseHttp(servers().clickhouseUrl).text(`CREATE DATABASE ${database}`);
  ({ send, text } = createClickHouseHttp(servers().clickhouseUrl, { database }));
});
afterAll(() => text(`DROP DATABASE ${database}`));

describe('an insert', () => {
  test.each([
    ['JSONEachRow', '{"n":1,"s":"a"}\n{"n":2,"s":"b;\\n"}'],
    ['JSONCompactEachRow', '[1,"a"]\n[2,"b"]\n'],
    ['TabSeparated', '1\ta\n2\tb\n'],
    ['CSVWithNames', 'n,s\n1,a\n2,"b\nc"\n'],
    ['Values', "(1,'a'),(2,'b')"],
  ])('takes %s from the body, with the statement in the URL or before the data', async (format, data) => {
    await text('CREATE OR REPLACE TABLE inserted (n UInt64, s String) ENGINE = MergeTree ORDER BY n');
    const inUrl = await send({
      parameters: { query: `INSERT INTO inserted FORMAT ${format}` },
      body: gzipSync(data),
      headers: { 'content-encoding': 'gzip' },
    });
    expect(await inUrl.text()).toBe('');
    expect(JSON.parse(inUrl.headers.get('x-clickhouse-summary') ?? '{}')).toMatchObject({
      written_rows: '2',
    });
    await text(`INSERT INTO inserted (n, s) FORMAT ${format}\n${data}`);
    expect(await text('SELECT count(), sum(n) FROM inserted')).toBe('4\t6\n');
  });

  test('takes back the binary formats it gives', async () => {
    await text(
      'CREATE OR REPLACE TABLE binary (n UInt64, t DateTime64(3), m Map(String, String)) ENGINE = MergeTree ORDER BY n',
    );
    const rows =
      "SELECT number AS n, toDateTime64('2026-01-02 03:04:05.678', 3, 'UTC') AS t, map('k', toString(number)) AS m FROM numbers(1000)";
    for (const format of ['RowBinary', 'Native', 'Parquet']) {
      const body = Buffer.from(await (await send({ body: `${rows} FORMAT ${format}` })).arrayBuffer());
      const response = await send({ parameters: { query: `INSERT INTO binary FORMAT ${format}` }, body });
      expect(response.status, await response.text()).toBe(200);
    }
    expect(await text("SELECT count(), uniqExact(n), any(t), sum(toUInt32(m['k'])) FROM binary")).toBe(
      '3000\t1000\t2026-01-02 03:04:05.678\t1498500\n',
    );
  });

  test.each([
    ['RowBinary', 'numbers(40000)'],
    ['Native', 'numbers(40000)'],
    ['CSV', 'numbers(3)'],
    ['JSONEachRow', 'numbers(3)'],
  ])('takes blank lines inside %s for the data they are', async (format, source) => {
    await text('CREATE OR REPLACE TABLE blank (n UInt64, s String) ENGINE = MergeTree ORDER BY n');
    const rows = `SELECT number AS n, 'one\\n\\ntwo; SELECT 1' AS s FROM ${source}`;
    const data = Buffer.from(await (await send({ body: `${rows} FORMAT ${format}` })).arrayBuffer());
    const body = format === 'JSONEachRow' ? Buffer.from(data.toString().replaceAll('\n', '\n\n')) : data;
    const query = `INSERT INTO blank (n, s) SETTINGS max_insert_threads = 1 FORMAT ${format}`;
    const response = await send({ parameters: { query }, body });
    expect(response.status, await response.text()).toBe(200);
    expect(await text('SELECT count(), uniqExact(n), any(s) FROM blank')).toBe(
      await text(`SELECT count(), uniqExact(n), any(s) FROM (${rows})`),
    );
  });

  test('streams a body of unknown length, and names the row it cannot read', async () => {
    await text('CREATE OR REPLACE TABLE streamed (n UInt64) ENGINE = MergeTree ORDER BY n');
    const parts = ['{"n":1}\n{"n', '":2}\n', '{"n":3}'];
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        const part = parts.shift();
        if (part === undefined) controller.close();
        else controller.enqueue(Buffer.from(part));
      },
    });
    const parameters = { query: 'INSERT INTO streamed FORMAT JSONEachRow' };
    expect((await send({ parameters, body })).status).toBe(200);
    expect(await text('SELECT sum(n) FROM streamed')).toBe('6\n');
    const bad = await send({ parameters, body: '{"n":4}\n{"n":"five"}' });
    expect(bad.status).toBe(400);
    expect(await bad.text()).toMatch(/at row 2/);
    expect(await text('SELECT sum(n) FROM streamed')).toBe('6\n');
  });

  test('from a SELECT needs no body', async () => {
    await text('CREATE OR REPLACE TABLE selected (n UInt64) ENGINE = MergeTree ORDER BY n');
    await text('INSERT INTO selected SELECT number FROM numbers(10)');
    await text('', { query: 'INSERT INTO selected SELECT number FROM numbers(10)' });
    expect(await text('SELECT count() FROM selected')).toBe('20\n');
  });
});
