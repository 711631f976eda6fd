// Goal: no process accepts events if its configured retention differs from the retention of the tables.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { checkRetention } from '../../../shared/clickhouse/check-retention.ts';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';
import { policyEnv } from '../../unit/policy/text.ts';

const open = (database: string) => createClickHouse({ url: servers().clickhouseUrl, database });

test('the retention of the tables is accepted, any other is refused with an error that says what to change', async () => {
  const clickhouse = open(uniqueNamespace().database);
  await migrate(clickhouse, { rawRetentionDays: 30 });
  await expect(checkRetention(clickhouse, 30)).resolves.toBeUndefined();
  await expect(checkRetention(clickhouse, 400)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(
      /TOLLGATE_RAW_RETENTION_DAYS is 400, and ClickHouse keeps .*stored_events for 30.* days.*MODIFY TTL/,
    ) as unknown,
  });
  await clickhouse.command(
    'ALTER TABLE stored_events MODIFY TTL toDateTime(time) + INTERVAL 400 DAY SETTINGS materialize_ttl_after_modify = 0',
  );
  await expect(checkRetention(clickhouse, 400)).rejects.toThrow(/stored_corrections for 30/);
  await expect(checkRetention(clickhouse, 30)).rejects.toThrow(/keeps stored_events for 400 days/);
  await clickhouse.close();
});

test('before the tables exist, every retention is accepted', async () => {
  const clickhouse = open('default');
  const { database } = uniqueNamespace();
  await clickhouse.command(`CREATE DATABASE ${database}`);
  const empty = open(database);
  await expect(checkRetention(empty, 7)).resolves.toBeUndefined();
  await Promise.all([clickhouse.close(), empty.close()]);
});

test.each(['aggregator', 'gateway'])('the %s does not start with another retention', async (service) => {
  const { database, topicPrefix, keyPrefix } = uniqueNamespace();
  const clickhouse = open(database);
  await migrate(clickhouse);
  await clickhouse.close();
  const child = spawn(process.execPath, [resolve(`services/${service}/main.ts`)], {
    env: {
      ...policyEnv,
      PATH: process.env['PATH'],
      REDIS_URL: servers().redisUrl,
      KAFKA_BROKERS: servers().kafkaBrokers,
      CLICKHOUSE_URL: servers().clickhouseUrl,
      CLICKHOUSE_DATABASE: database,
      TOLLGATE_TOPIC_PREFIX: topicPrefix,
      TOLLGATE_KEY_PREFIX: keyPrefix,
      TOLLGATE_SPOOL_DIR: await mkdtemp(join(tmpdir(), 'tollgate-retention-')),
      TOLLGATE_RAW_RETENTION_DAYS: '7',
      PORT: '0',
      API_PORT: '0',
      RLS_PORT: '0',
      OPS_PORT: '0',
    },
  });
  let log = '';
  child.stdout.on('data', (chunk: Buffer) => void (log += chunk.toString()));
  const end = setTimeout(() => child.kill('SIGKILL'), 120_000);
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(end);
  expect([code, log]).toEqual([
    1,
    expect.stringContaining('TOLLGATE_RAW_RETENTION_DAYS is 7, and ClickHouse keeps'),
  ]);
});
