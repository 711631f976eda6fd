/**
 * Goal: the access files give analysts and customers the documented access and no other. Method: ClickHouse's parser
 * reads every statement. The grants and row policies are put into the users file of an engine, and each query runs in a
 * view that has the rights of a user.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startClickHouseServer } from '../../../dev/servers/clickhouse.ts';
import type { RunningClickHouse } from '../../../dev/servers/clickhouse.ts';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { accessFiles, statementsOf, usersFile } from './access-files.ts';

const users = { tenant_acme: 'tollgate_tenant', ada: 'tollgate_analyst', grafana: 'tollgate_dashboards' };
let dir: string;
let server: RunningClickHouse;
let clickhouse: ClickHouse;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tollgate-access-'));
  const configFile = join(dir, 'config.xml');
  await writeFile(join(dir, 'users.xml'), usersFile(users));
  await writeFile(
    configFile,
    `<clickhouse><users_config>${join(dir, 'users.xml')}</users_config></clickhouse>`,
  );
  server = await startClickHouseServer({ dir, configFile, say: () => undefined });
  clickhouse = createClickHouse({ url: server.url, database: 'tollgate' });
  await migrate(clickhouse);
  const timeMs = Date.now() - 60_000;
  await storeUsage(clickhouse, [
    { tenant: 'acme', timeMs },
    { tenant: 'acme', timeMs },
    { tenant: 'tiny', timeMs },
  ]);
  const alert = {
    kind: 'threshold',
    limit_name: 'day',
    channel: 'log',
    time: new Date(timeMs).toISOString(),
  };
  await clickhouse.insert('stored_alerts', [
    { alert_id: 'a', tenant_id: 'acme', ...alert },
    { alert_id: 'b', tenant_id: 'tiny', ...alert },
  ]);
  await clickhouse.command('CREATE DATABASE run_as');
});

afterAll(async () => {
  await clickhouse.close();
  await server.kill();
  await rm(dir, { recursive: true, force: true });
});

/** Runs the query with the rights of a user. */
async function readAs<Row>(user: keyof typeof users, sql: string): Promise<Row[]> {
  await clickhouse.command(
    `CREATE OR REPLACE VIEW run_as.view DEFINER = ${user} SQL SECURITY DEFINER AS ${sql}`,
  );
  return clickhouse.query<Row>('SELECT * FROM run_as.view');
}

describe.each(accessFiles)('%s', (file) => {
  test('every statement is parsed, and the formatter returns it unchanged', async () => {
    for (const statement of statementsOf(file)) {
      await expect(clickhouse.query(`EXPLAIN AST ${statement}`), statement).resolves.not.toEqual([]);
      const format = async (sql: string): Promise<string | null> =>
        (
          await clickhouse.query<{ sql: string | null }>('SELECT formatQueryOrNull({sql:String}) AS sql', {
            sql,
          })
        )[0]?.sql ?? null;
      const formatted = await format(statement);
      expect(formatted, statement).not.toBeNull();
      expect(await format(formatted ?? '')).toBe(formatted);
      // The parser refuses an incomplete statement, so the check above can fail.
      expect(await format(statement.replace(/\s\S+\s*$/, ' TO TO')), statement).toBeNull();
    }
  });

  test('profiles contain only settings of the engine', async () => {
    for (const statement of statementsOf(file)) {
      const settings = /^CREATE SETTINGS PROFILE [\s\S]*? SETTINGS\s+([\s\S]+?)\s+TO \w+$/.exec(
        statement,
      )?.[1];
      if (settings === undefined) continue;
      const bare = settings.replace(/ (MIN|MAX) \d+/g, '');
      expect(bare).toMatch(/readonly = [12]/);
      await expect(clickhouse.query(`SELECT 1 AS one SETTINGS ${bare}`)).resolves.toEqual([{ one: 1 }]);
      await expect(
        clickhouse.query(`SELECT count() FROM usage_events SETTINGS ${bare}`),
      ).resolves.toHaveLength(1);
    }
  });
});

describe('a customer', () => {
  test.each(['usage_events', 'usage_by_minute', 'usage_by_hour', 'usage_by_day', 'alerts'])(
    'reads of %s the rows of its own tenant alone',
    async (view) => {
      const all = await clickhouse.query<{ tenant_id: string }>(
        `SELECT DISTINCT tenant_id FROM ${view} ORDER BY 1`,
      );
      expect(all.map(({ tenant_id: id }) => id)).toEqual(['acme', 'tiny']);
      const own = await readAs<{ tenant_id: string }>(
        'tenant_acme',
        `SELECT DISTINCT tenant_id FROM tollgate.${view}`,
      );
      expect(own).toEqual([{ tenant_id: 'acme' }]);
    },
  );

  test.each(['stored_events', 'stored_minutes', 'stored_hours', 'stored_days', 'stored_alerts'])(
    'reads of the table %s behind them no more',
    async (table) => {
      const own = await readAs<{ tenant_id: string }>(
        'tenant_acme',
        `SELECT DISTINCT tenant_id FROM tollgate.${table}`,
      );
      expect(own).toEqual([{ tenant_id: 'acme' }]);
    },
  );

  test.each(['tenants', 'stored_tenants', 'stored_ids', 'pipeline_progress'])(
    'is refused %s',
    async (table) => {
      await expect(readAs('tenant_acme', `SELECT * FROM tollgate.${table}`)).rejects.toThrow(
        /Not enough privileges/,
      );
    },
  );
});

describe('an analyst', () => {
  test('reads every tenant, in every view', async () => {
    const rows = await readAs<{ requests: number }>(
      'ada',
      'SELECT tenant_id, sum(u.requests) AS requests FROM tollgate.usage_by_day AS u GROUP BY tenant_id ORDER BY requests',
    );
    expect(rows.map(({ requests }) => requests)).toEqual([1, 2]);
    await expect(readAs('ada', 'SELECT * FROM tollgate.tenants')).resolves.toEqual([]);
  });

  test('cannot read outside the database', async () => {
    await clickhouse.command('CREATE TABLE run_as.other (x UInt8) ENGINE = Memory');
    await expect(readAs('ada', 'SELECT * FROM run_as.other')).rejects.toThrow(/Not enough privileges/);
  });
});

test('dashboards read the same as analysts, and the system tables of their panels', async () => {
  const usage = 'SELECT count() AS events FROM tollgate.usage_events';
  expect(await readAs('grafana', usage)).toEqual([{ events: 3 }]);
  const parts = 'SELECT sum(rows) AS stored FROM system.parts WHERE active';
  expect((await readAs<{ stored: number }>('grafana', parts))[0]?.stored).toBeGreaterThan(0);
  for (const [table, column] of [
    ['merges', 'progress'],
    ['disks', 'free_space'],
    ['events', 'value'],
  ] as const) {
    const reading = `SELECT count(${column}) AS rows FROM system.${table}`;
    await expect(readAs('grafana', reading), table).resolves.toHaveLength(1);
  }
});
