import { createClient } from '@clickhouse/client';
import { expect, test } from 'vitest';
import { eventually, servers, startClickHouse, startRedis } from '../../support/servers.ts';

test('the servers of the run answer', async () => {
  const client = createClient({ url: servers().clickhouseUrl });
  expect(await (await client.query({ query: 'SELECT 1 AS one', format: 'JSONEachRow' })).json()).toEqual([
    { one: 1 },
  ]);
  await client.close();
  expect(servers().redisUrl).toMatch(/^redis:/);
  expect(servers().kafkaBrokers).toMatch(/:\d+$/);
});

test('a private Redis ends when it is killed and comes back on the same port', async () => {
  const redis = await startRedis();
  await redis.kill();
  expect(redis.alive()).toBe(false);
  await redis.restart();
  expect(await eventually(() => redis.alive())).toBe(true);
  await redis.dispose();
});

test('a private ClickHouse keeps acknowledged rows over a kill', async () => {
  const server = await startClickHouse();
  const client = createClient({ url: server.url });
  await client.command({ query: 'CREATE DATABASE kept' });
  await client.command({ query: 'CREATE TABLE kept.numbers (n UInt32) ENGINE = MergeTree ORDER BY n' });
  await client.insert({ table: 'kept.numbers', values: [{ n: 1 }, { n: 2 }], format: 'JSONEachRow' });
  await server.kill();
  await server.restart();
  const rows = await (
    await client.query({ query: 'SELECT sum(n) AS sum FROM kept.numbers', format: 'JSONEachRow' })
  ).json();
  expect(rows).toEqual([{ sum: 3 }]);
  await client.close();
  await server.dispose();
});
