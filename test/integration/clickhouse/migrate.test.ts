// Goal: migrations run once and in order, by any process at any time; a migration that has run cannot be changed silently.
import { cp, mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { fillerFor, migrate, statementsOf } from '../../../shared/clickhouse/migrate.ts';
import { withMigrationLock } from '../../../shared/clickhouse/migration-lock.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';

const migrations = fileURLToPath(new URL('../../../shared/clickhouse/migrations', import.meta.url));

function open(database = uniqueNamespace().database): ClickHouse {
  return createClickHouse({ url: servers().clickhouseUrl, database });
}

async function columnsOf(clickhouse: ClickHouse, table: string): Promise<string[]> {
  const rows = await clickhouse.query<{ name: string }>(
    'SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} ORDER BY position',
    { table },
  );
  return rows.map(({ name }) => name);
}

const eventColumns =
  'event_id time tenant_id user_id plan source type method route path status decision limited_by ' +
  'units cost latency_ms check_us node sequence degraded client_ip service entrypoint api_key policy_revision decided_after_us ingested_at ' +
  'properties model quantities measures usage_source reservation reservation_id reserved ' +
  'reserved_until kafka_partition kafka_offset';

describe('migrate', () => {
  test('runs each file once and creates the views that analysts read', async () => {
    const clickhouse = open();
    const first = await migrate(clickhouse);
    expect(first).toContain('001_events.sql');
    expect(await migrate(clickhouse)).toEqual([]);
    expect((await columnsOf(clickhouse, 'usage_events')).join(' ')).toBe(eventColumns);
    for (const [view, start] of [
      ['usage_by_minute', 'minute'],
      ['usage_by_hour', 'hour'],
      ['usage_by_day', 'day'],
    ] as const) {
      expect(await columnsOf(clickhouse, view)).toEqual([
        ...[
          start,
          'tenant_id',
          'plan',
          'route',
          'type',
          'decision',
          'model',
          'requests',
          'allowed',
          'limited',
          'bypassed',
        ],
        ...['errors', 'units', 'cost', 'quantities', 'reserved', 'reserved_units'],
        ...['latency_p50', 'latency_p95', 'latency_p99'],
      ]);
      const plain = (await columnsOf(clickhouse, view)).filter((name) => !name.startsWith('latency_'));
      expect(await columnsOf(clickhouse, `${view}_states`)).toEqual([...plain, 'latency_state']);
    }
    await clickhouse.close();
  });

  test('data of the previous version is kept by the newest migration, with money in decimals', async () => {
    const clickhouse = open();
    const folder = await mkdtemp(join(tmpdir(), 'tollgate-migrations-'));
    for (const name of await readdir(migrations)) {
      if (name < '005') await cp(join(migrations, name), join(folder, name));
    }
    await migrate(clickhouse, { folder });
    await clickhouse.command(`INSERT INTO stored_events (time, tenant_id, id_a, id_b, type, decision, units, cost)
      SELECT toDateTime64('2026-11-01 10:00:00', 3, 'UTC'), 'old', 1, number, 't', 'allowed', 1, [0.1, 0.2, 7.5e-5][number + 1]
      FROM numbers(3)`);
    await clickhouse.command(`INSERT INTO stored_days
      (day, tenant_id, plan, route, type, decision, requests, errors, units, cost, latency, version)
      SELECT toDate(time), tenant_id, plan, route, type, decision, count(), 0, sum(units), sum(cost),
        quantilesTDigestState(0.5, 0.95, 0.99)(latency_ms), count() FROM stored_events GROUP BY ALL`);
    await migrate(clickhouse);
    const [row] = await clickhouse.query(`SELECT (SELECT toString(sum(cost)) FROM usage_events) AS events,
      (SELECT toString(sum(cost)) FROM usage_by_day) AS days, (SELECT sum(requests) FROM usage_by_day) AS requests`);
    expect(row).toEqual({ events: '0.300075', days: '0.300075', requests: 3 });
    await clickhouse.close();
  });

  test('every table, view and column has a comment', async () => {
    const clickhouse = open();
    await migrate(clickhouse);
    const silent = await clickhouse.query<{ place: string }>(
      `SELECT concat(table, '.', name) AS place FROM system.columns
      WHERE database = currentDatabase() AND length(comment) < 4
      UNION ALL
      SELECT name FROM system.tables WHERE database = currentDatabase() AND length(comment) < 10`,
    );
    expect(silent).toEqual([]);
    await clickhouse.close();
  });

  test('several processes may migrate at once', async () => {
    const clickhouse = open();
    await Promise.all(Array.from({ length: 6 }, () => migrate(clickhouse)));
    expect(await migrate(clickhouse)).toEqual([]);
    await clickhouse.close();
  });

  test('one process migrates at a time, and takes over from one that crashed', async () => {
    const clickhouse = open();
    await migrate(clickhouse);
    const fill = fillerFor(clickhouse.options.database, {});
    let running = 0;
    const most = await Promise.all(
      Array.from({ length: 4 }, () =>
        withMigrationLock(clickhouse, fill, async () => {
          running += 1;
          const seen = running;
          await clickhouse.command('SELECT sleep(0.05)');
          running -= 1;
          return seen;
        }),
      ),
    );
    expect(most).toEqual([1, 1, 1, 1]);
    await clickhouse.command('CREATE TABLE schema_migrations_lock (process String) ENGINE = Memory');
    const startedAt = performance.now();
    await withMigrationLock(clickhouse, fill, () => Promise.resolve(), 1);
    expect(performance.now() - startedAt).toBeGreaterThan(900);
    await clickhouse.close();
  });

  test('an edited comment does not fail a start; an edited statement does, and the error says what to do', async () => {
    const clickhouse = open();
    const folder = await mkdtemp(join(tmpdir(), 'tollgate-migrations-'));
    await cp(migrations, folder, { recursive: true });
    await migrate(clickhouse, { folder });
    const file = join(folder, '002_totals.sql');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replaceAll(/^--.*$/gm, '-- edited').replaceAll(/^ {4}/gm, '  '));
    expect(await migrate(clickhouse, { folder })).toEqual([]);
    await writeFile(file, text.replace('requests', 'calls'));
    await expect(migrate(clickhouse, { folder })).rejects.toMatchObject({
      code: 'MIGRATION_CHANGED',
      message: expect.stringMatching(/002_totals\.sql.* Restore the file .*new migration/) as string,
    });
    await clickhouse.close();
  });

  test('on a cluster every statement runs ON CLUSTER with replicated engines', async () => {
    const fill = fillerFor('tollgate', { cluster: 'main' });
    const names = (await readdir(migrations)).filter((name) => name.endsWith('.sql'));
    const texts = await Promise.all(names.map((name) => readFile(join(migrations, name), 'utf8')));
    const statements = texts.flatMap((text) => statementsOf(fill(text)));
    expect(statements.length).toBeGreaterThan(10);
    for (const statement of statements) {
      expect(statement).toContain(`ON CLUSTER 'main'`);
      expect(statement).not.toMatch(/ENGINE = (?!Replicated)/);
      expect(statement).not.toMatch(/\{\w+\}/);
    }
  });

  test('a database name with other characters than letters, digits and _ never reaches SQL', async () => {
    await expect(migrate(open('x; DROP DATABASE y'))).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});
