// Goal: migrations run once, in order, by anyone at any time, and never change behind anybody's back.
import { cp, mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { fillerFor, migrate, statementsOf } from '../../../shared/clickhouse/migrate.ts';
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

describe('migrate', () => {
  test('runs each file once and makes the names analysts read', async () => {
    const clickhouse = open();
    const first = await migrate(clickhouse);
    expect(first).toContain('001_events.sql');
    expect(await migrate(clickhouse)).toEqual([]);
    expect(await columnsOf(clickhouse, 'usage_events')).toEqual([
      ...[
        'event_id',
        'time',
        'tenant_id',
        'user_id',
        'plan',
        'source',
        'type',
        'method',
        'route',
        'path',
        'status',
      ],
      ...[
        'decision',
        'limited_by',
        'units',
        'cost',
        'latency_ms',
        'check_us',
        'node',
        'sequence',
        'degraded',
      ],
      ...['client_ip', 'service', 'door', 'ingested_at', 'properties', 'kafka_partition', 'kafka_offset'],
    ]);
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
          'requests',
          'allowed',
          'limited',
          'bypassed',
        ],
        ...['errors', 'units', 'cost', 'latency_p50', 'latency_p95', 'latency_p99', 'latency_state'],
      ]);
    }
    await clickhouse.close();
  });

  test('several processes may migrate at once', async () => {
    const clickhouse = open();
    await Promise.all([migrate(clickhouse), migrate(clickhouse), migrate(clickhouse)]);
    expect(await migrate(clickhouse)).toEqual([]);
    await clickhouse.close();
  });

  test('a file that has run and was changed is refused by name', async () => {
    const clickhouse = open();
    const folder = await mkdtemp(join(tmpdir(), 'tollgate-migrations-'));
    await cp(migrations, folder, { recursive: true });
    await migrate(clickhouse, { folder });
    const file = join(folder, '002_totals.sql');
    await writeFile(file, `${await readFile(file, 'utf8')}\n-- changed`);
    await expect(migrate(clickhouse, { folder })).rejects.toMatchObject({
      code: 'MIGRATION_CHANGED',
      message: expect.stringContaining('002_totals.sql') as string,
    });
    await clickhouse.close();
  });

  test('on a cluster every statement that makes something names it, with replicated engines', async () => {
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

  test('a database name that is no plain word never reaches SQL', async () => {
    await expect(migrate(open('x; DROP DATABASE y'))).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  test('comments and semicolons in them do not split statements', () => {
    expect(statementsOf('-- a; b;\nSELECT 1;\n\n-- c\nSELECT\n2;\n')).toEqual(['SELECT 1', 'SELECT\n2']);
  });
});
