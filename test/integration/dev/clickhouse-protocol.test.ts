import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createClickHouseHttp } from '../../support/clickhouse-http.ts';
import type { ClickHouseHttp } from '../../support/clickhouse-http.ts';
import { startClickHouse } from '../../support/servers.ts';

/**
 * The HTTP protocol of the local ClickHouse server, without a client library. The tests use a separate engine, because
 * some requests are slow or large on purpose.
 */
let server: Awaited<ReturnType<typeof startClickHouse>>;
let send: ClickHouseHttp['send'];
let text: ClickHouseHttp['text'];
beforeAll(async () => {
  server = await startClickHouse();
  ({ send, text } = createClickHouseHttp(server.url));
});
afterAll(() => server.dispose());

describe('a query', () => {
  test('stands in the URL, in the body, or in both, the URL first', async () => {
    expect(await (await send({ parameters: { query: 'SELECT 1' }, method: 'GET' })).text()).toBe('1\n');
    expect(await text('SELECT 2')).toBe('2\n');
    expect(await text('+ 3', { query: 'SELECT 1' })).toBe('4\n');
  });

  test('answers in the format it names, else in the request’s default, else tab-separated', async () => {
    expect(await text('SELECT 1 AS one FORMAT JSONEachRow')).toBe('{"one":1}\n');
    expect(await text('SELECT 1 AS one', { default_format: 'CSVWithNames' })).toBe('"one"\n1\n');
    const json = await send({ body: 'SELECT 1 AS one FORMAT JSON' });
    expect(json.headers.get('content-type')).toMatch(/^application\/json/);
    expect(json.headers.get('x-clickhouse-format')).toBe('JSON');
    expect(((await json.json()) as { data: unknown }).data).toEqual([{ one: 1 }]);
  });

  test('takes typed parameters, whatever characters they hold', async () => {
    const sql =
      'SELECT {id:String} AS id, {n:UInt64} + 1 AS n, {list:Array(String)} AS list FORMAT JSONEachRow';
    const parameters = {
      param_id: "it's; {DROP} \\\\ \\t é",
      param_n: '18446744073709551614',
      param_list: "['a','b']",
    };
    const row = JSON.parse(await text(sql, parameters)) as { id: string; list: string[] };
    expect(row.id).toBe("it's; {DROP} \\ \t é");
    expect(row.list).toEqual(['a', 'b']);
  });

  test('runs in the database and with the settings of its URL, and of no other request', async () => {
    await text('CREATE DATABASE IF NOT EXISTS mine');
    const sql = "SELECT currentDatabase(), getSetting('max_threads')";
    expect(await text(sql, { database: 'mine', max_threads: '1' })).toBe('mine\t1\n');
    expect(await text(sql, { max_threads: '2' })).toBe('default\t2\n');
    expect(await text(sql)).not.toBe('mine\t1\n');
  });

  test('takes and gives gzip', async () => {
    const headers = { 'content-encoding': 'gzip', 'accept-encoding': 'gzip' };
    const whole = await send({
      body: gzipSync('SELECT count() FROM numbers(10) FORMAT JSON'),
      parameters: { enable_http_compression: '1' },
      headers,
    });
    expect(whole.headers.get('content-encoding')).toBe('gzip');
    expect(((await whole.json()) as { rows: number }).rows).toBe(1);
    const streamed = await send({
      body: gzipSync('SELECT number FROM numbers(100000)'),
      parameters: { enable_http_compression: '1' },
      headers,
    });
    expect((await streamed.text()).length).toBe(588_890);
    const unasked = await send({ body: 'SELECT 1', headers: { 'accept-encoding': 'gzip' } });
    expect(unasked.headers.get('content-encoding')).toBeNull();
  });

  test('a GET only reads', async () => {
    const response = await send({ parameters: { query: 'CREATE DATABASE by_get' }, method: 'GET' });
    expect(response.headers.get('x-clickhouse-exception-code')).toBe('164');
    expect(await text("SELECT count() FROM system.databases WHERE name = 'by_get'")).toBe('0\n');
  });

  test('carries its id and a summary', async () => {
    const response = await send({
      parameters: { query_id: 'q-1', wait_end_of_query: '1' },
      body: 'SELECT * FROM numbers(7)',
    });
    await response.text();
    expect(response.headers.get('x-clickhouse-query-id')).toBe('q-1');
    expect(JSON.parse(response.headers.get('x-clickhouse-summary') ?? '{}')).toMatchObject({
      read_rows: '7',
    });
  });

  test('keeps a temporary table and SET within a session, which one request at a time may use', async () => {
    const session = { session_id: 's-1' };
    await text('CREATE TEMPORARY TABLE kept (n UInt8)', session);
    await text('INSERT INTO kept VALUES (1), (2)', session);
    expect(await text('SELECT sum(n) FROM kept', session)).toBe('3\n');
    await expect(text('SELECT sum(n) FROM kept')).rejects.toThrow(/UNKNOWN_TABLE/);
    const slow = text('SELECT sleep(0.5)', session);
    await expect(Promise.all([slow, text('SELECT 1', session), text('SELECT 1', session)])).rejects.toThrow(
      /SESSION_IS_LOCKED/,
    );
    await slow.catch(() => undefined);
  });
});

describe('an error', () => {
  test.each([
    ['SELEC 1', 62, 400],
    ['SELECT * FROM nowhere', 60, 404],
    ['SELECT * FROM nowhere.nothing', 81, 404],
    ['SELECT missing FROM numbers(1)', 47, 404],
    ["SELECT toUInt8('x')", 6, 400],
    ['SELECT 1 FORMAT Nonsense', 73, 404],
    ['SELECT {absent:String}', 456, 400],
    ['SELECT throwIf(1)', 395, 500],
  ])('%s is code %i with status %i', async (sql, code, status) => {
    const response = await send({ body: sql });
    const body = await response.text();
    expect([response.status, response.headers.get('x-clickhouse-exception-code')], body).toEqual([
      status,
      String(code),
    ]);
    expect(body).toMatch(
      new RegExp(`^Code: ${code}\\. DB::Exception: [^]+ \\([A-Z_]+\\) \\(version \\d+\\.\\d+`),
    );
  });

  test('names an unknown setting and an unknown database of the URL', async () => {
    expect(
      (await send({ parameters: { no_such_setting: '1' }, body: 'SELECT 1' })).headers.get(
        'x-clickhouse-exception-code',
      ),
    ).toBe('115');
    expect(
      (await send({ parameters: { database: 'no_such' }, body: 'SELECT 1' })).headers.get(
        'x-clickhouse-exception-code',
      ),
    ).toBe('81');
  });

  test('after the first block ends the body with the announced tag', async () => {
    const response = await send({
      body: 'SELECT throwIf(number = 200000) FROM numbers(400000) SETTINGS max_block_size = 1000',
    });
    expect(response.status).toBe(200);
    const tag = response.headers.get('x-clickhouse-exception-tag') ?? 'none';
    const body = await response.text();
    expect(body).toMatch(new RegExp(`__exception__\r\n${tag}\r\nCode: 395[^]+ ${tag}\r\n__exception__\r\n$`));
  });

  test('of an unknown path or body coding is said plainly', async () => {
    expect((await fetch(`${server.url}/nothing`)).status).toBe(404);
    const coded = await send({ body: 'SELECT 1', headers: { 'content-encoding': 'lzma' } });
    expect([coded.status, coded.headers.get('x-clickhouse-exception-code')]).toEqual([500, '89']);
  });
});

describe('side by side', () => {
  test('a slow query delays neither a health check nor another query', async () => {
    const slow = [
      'SELECT sleep(3) FROM numbers(4)',
      'SELECT sleep(3) FROM numbers(4) FORMAT JSON',
      'SELECT (SELECT max(sleep(3)) FROM numbers(4)) FORMAT JSONEachRow',
    ].map((sql) => text(sql, { max_block_size: '1' }));
    let slowDone = false;
    const allSlow = Promise.all(slow).then(() => (slowDone = true));
    for (let round = 0; round < 5; round++) {
      expect((await fetch(`${server.url}/ping`)).status).toBe(200);
      expect(await text('SELECT 1')).toBe('1\n');
      expect(await text('SELECT 1 AS one FORMAT JSON')).toContain('"one": 1');
    }
    expect(slowDone).toBe(false);
    await allSlow;
  });

  test('many requests at once keep their parameters apart', async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        text('SELECT {n:UInt32} AS n FORMAT JSONEachRow', { param_n: String(i) }),
      ),
    );
    expect(answers).toEqual(Array.from({ length: 200 }, (_, i) => `{"n":${i}}\n`));
  });

  test('a large result is sent as it is made, and a reader that leaves ends its query', async () => {
    const response = await send({ body: 'SELECT number FROM numbers(1000000000000) FORMAT TabSeparated' });
    const reader = response.body!.getReader();
    const { value } = (await reader.read()) as { value: Uint8Array };
    expect(Buffer.from(value).toString().startsWith('0\n1\n2\n')).toBe(true);
    await reader.cancel();
    await expect
      .poll(() => text("SELECT count() FROM system.processes WHERE query LIKE '%1000000000000%'"))
      .toBe('1\n');
  });

  test('the query of a complete result ends when its client disconnects', async () => {
    const leave = new AbortController();
    const response = fetch(server.url, {
      method: 'POST',
      body: 'SELECT sum(sleepEachRow(0.1)) FROM numbers(400) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 100000000 FORMAT JSON',
      signal: leave.signal,
    });
    const running = (): Promise<string> =>
      text("SELECT count() FROM system.processes WHERE query LIKE 'SELECT sum(sleep%'");
    await expect.poll(running).toBe('1\n');
    leave.abort();
    await expect(response).rejects.toThrow();
    await expect.poll(running).toBe('0\n');
  });
});

test('gunzip of a response is the result, byte for byte', async () => {
  const url = `${server.url}/?enable_http_compression=1`;
  const raw = await new Promise<Buffer>((resolve, reject) => {
    void import('node:http').then(({ request }) => {
      const sent = request(url, { method: 'POST', headers: { 'accept-encoding': 'gzip' } }, (response) => {
        const chunks: Buffer[] = [];
        response
          .on('data', (chunk: Buffer) => chunks.push(chunk))
          .on('end', () => resolve(Buffer.concat(chunks)));
      });
      sent.on('error', reject).end('SELECT 1 FORMAT JSONEachRow');
    });
  });
  expect(gunzipSync(raw).toString()).toBe('{"1":1}\n');
});
