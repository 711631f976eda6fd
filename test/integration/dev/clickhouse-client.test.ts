import { ClickHouseLogLevel, createClient } from '@clickhouse/client';
import type { ClickHouseClient } from '@clickhouse/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { servers, uniqueNamespace } from '../../support/servers.ts';

/** The client library that the product uses, over HTTP, with the ClickHouse server or engine of this test run. */
const { database } = uniqueNamespace();
let client: ClickHouseClient;
beforeAll(async () => {
  const admin = createClient({ url: servers().clickhouseUrl });
  await admin.command({ query: `CREATE DATABASE ${database}` });
  await admin.close();
  const compression = { request: true, response: true };
  // No log, because some queries below fail on purpose.
  const log = { level: ClickHouseLogLevel.OFF };
  client = createClient({
    url: servers().clickhouseUrl,
    database,
    compression,
    log,
    max_open_connections: 20,
  });
  await client.command({
    query: `CREATE TABLE events (id UInt64, tenant LowCardinality(String), time DateTime64(3, 'UTC'), labels Map(String, String))
            ENGINE = ReplacingMergeTree ORDER BY (tenant, id)`,
  });
});
afterAll(async () => {
  await client.command({ query: `DROP DATABASE ${database}` });
  await client.close();
});

test('inserts rows and reads them by typed parameters', async () => {
  const values = [
    { id: 1, tenant: 'acme', time: '2026-01-02 03:04:05.678', labels: { route: 'GET /health' } },
    { id: 2, tenant: 'b{ö}\n', time: '2026-01-02 03:04:06.000', labels: {} },
  ];
  const inserted = await client.insert({ table: 'events', values, format: 'JSONEachRow' });
  expect(inserted.summary).toMatchObject({ written_rows: '2' });
  const result = await client.query({
    query: 'SELECT * FROM events FINAL WHERE tenant = {tenant:String} AND time >= {from:DateTime64(3)}',
    query_params: { tenant: 'b{ö}\n', from: '2026-01-02 00:00:00.000' },
    format: 'JSONEachRow',
  });
  expect(await result.json()).toEqual([values[1]]);
});

test('reads every JSON format, and streams rows', async () => {
  const query = 'SELECT number AS n FROM numbers(3)';
  expect(((await (await client.query({ query, format: 'JSON' })).json()) as { rows: number }).rows).toBe(3);
  expect(await (await client.query({ query, format: 'JSONCompactEachRow' })).json()).toEqual([[0], [1], [2]]);
  let rows = 0;
  const many = await client.query({ query: 'SELECT number FROM numbers(500000)', format: 'JSONEachRow' });
  for await (const batch of many.stream()) rows += batch.length;
  expect(rows).toBe(500_000);
});

test('throws the engine’s exception, before and within a stream', async () => {
  await expect(client.query({ query: 'SELECT * FROM absent' })).rejects.toMatchObject({
    code: '60',
    type: 'UNKNOWN_TABLE',
  });
  const failing = await client.query({
    query: 'SELECT throwIf(number = 200000) AS n FROM numbers(400000) SETTINGS max_block_size = 1000',
    format: 'JSONEachRow',
  });
  await expect(failing.json()).rejects.toMatchObject({ code: '395' });
});

test('answers ping, exec and commands with settings', async () => {
  expect(await client.ping()).toEqual({ success: true });
  await client.command({ query: 'OPTIMIZE TABLE events FINAL', clickhouse_settings: { max_threads: 1 } });
  const { stream } = await client.exec({ query: 'EXISTS TABLE events' });
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  expect(Buffer.concat(chunks).toString()).toBe('1\n');
});

test('takes blocks of 50,000 rows from several inserts at once, each row once', async () => {
  const block = (first: number): object[] =>
    Array.from({ length: 50_000 }, (_, i) => ({
      id: first + i,
      tenant: 'bulk',
      time: 1_767_000_000_000 + i,
      labels: {},
    }));
  await Promise.all(
    [0, 50_000, 100_000].map((first) =>
      client.insert({ table: 'events', values: block(first), format: 'JSONEachRow' }),
    ),
  );
  const result = await client.query({
    query: "SELECT count() AS rows, uniqExact(id) AS ids FROM events WHERE tenant = 'bulk'",
    format: 'JSONEachRow',
  });
  expect(await result.json()).toEqual([{ rows: 150_000, ids: 150_000 }]);
});
