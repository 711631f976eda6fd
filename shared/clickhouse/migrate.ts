import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createClickHouse } from './client.ts';
import type { ClickHouse, ClickHouseOptions } from './client.ts';
import { TollgateError } from '../runtime/errors.ts';
import { withMigrationLock } from './migration-lock.ts';

export interface MigrateOptions {
  /**
   * Name of a ClickHouse cluster: statements then run ON CLUSTER, and tables have Replicated engines. Null for a single server.
   */
  readonly cluster?: string | null;
  /** Number of days that raw events are kept; totals are kept forever. It has an effect only when a table is created. */
  readonly rawRetentionDays?: number;
  readonly folder?: string;
}

export const rawRetentionDaysDefault = 400;

/**
 * Runs the migrations that have not run yet and returns their names. If the statements of a migration have changed
 * since it ran, rejects with MIGRATION_CHANGED; its comments and white space may change. A migration cannot be undone.
 * One process migrates at a time. Every statement is repeatable: if a process crashes half-way, the schema is the same
 * as after one run.
 */
export async function migrate(clickhouse: ClickHouse, options: MigrateOptions = {}): Promise<string[]> {
  const fill = fillerFor(clickhouse.options.database, options);
  await createDatabase(clickhouse.options, fill);
  for (const statement of statementsOf(fill(migrationsTable))) await clickhouse.command(statement);
  const migrations = await readMigrations(options.folder ?? migrationsFolder);
  if ((await outstanding(clickhouse, migrations)).length === 0) return [];
  return withMigrationLock(clickhouse, fill, async () => {
    const ran: string[] = [];
    // Read again: another process may have run them before this one got the lock.
    for (const migration of await outstanding(clickhouse, migrations)) {
      await apply(clickhouse, migration, fill);
      ran.push(migration.name);
    }
    return ran;
  });
}

/** The migrations that have not run yet. Rejects with MIGRATION_CHANGED. */
async function outstanding(
  clickhouse: ClickHouse,
  migrations: readonly Migration[],
): Promise<readonly Migration[]> {
  const applied = await appliedChecksums(clickhouse);
  return migrations.filter(({ number, name, checksum }) => {
    const before = applied.get(number);
    if (before === undefined || before === checksum) return before === undefined;
    throw new TollgateError(
      'MIGRATION_CHANGED',
      `The statements of ${name} were changed after it ran on database ${clickhouse.options.database}. Restore the file as it ` +
        'was, and put the change into a new migration with the next number.',
    );
  });
}

interface Migration {
  readonly number: number;
  readonly name: string;
  readonly text: string;
  readonly checksum: string;
}

const migrationsFolder = fileURLToPath(new URL('./migrations', import.meta.url));

const migrationsTable = `
CREATE TABLE IF NOT EXISTS {database}.schema_migrations {on_cluster}
(number UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC'))
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (number, checksum)`;

async function createDatabase(connection: ClickHouseOptions, fill: (text: string) => string): Promise<void> {
  const serverWide = createClickHouse({ ...connection, database: 'default' });
  try {
    await serverWide.command(fill('CREATE DATABASE IF NOT EXISTS {database} {on_cluster}'));
  } finally {
    await serverWide.close();
  }
}

async function appliedChecksums(clickhouse: ClickHouse): Promise<Map<number, string>> {
  const rows = await clickhouse.query<{ number: number; checksum: string }>(
    'SELECT number, checksum FROM schema_migrations ORDER BY number, applied_at DESC',
  );
  return new Map(rows.map((row) => [row.number, row.checksum]));
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => /^\d{3}_\w+\.sql$/.test(name)).sort();
  return Promise.all(
    names.map(async (name) => {
      const text = await readFile(`${folder}/${name}`, 'utf8');
      return { number: Number(name.slice(0, 3)), name, text, checksum: checksumOf(text) };
    }),
  );
}

async function apply(
  clickhouse: ClickHouse,
  migration: Migration,
  fill: (text: string) => string,
): Promise<void> {
  for (const statement of statementsOf(fill(migration.text))) await clickhouse.command(statement);
  // This row is written last: after a crash before this line, the statements run again.
  const { number, name, checksum } = migration;
  await clickhouse.insert('schema_migrations', [{ number, name, checksum, applied_at: Date.now() }]);
}

/**
 * Returns a hash of the statements. Comments and the kind of white space do not change the hash, because they do not
 * change the schema.
 */
export function checksumOf(text: string): string {
  const statements = statementsOf(text).map((statement) =>
    statement.replaceAll(sqlTokens, (token) => (/^['"`]/.test(token) ? token : ' ')).trim(),
  );
  return createHash('sha256').update(JSON.stringify(statements)).digest('hex');
}

/**
 * Matches quoted text, or comments and white space. Quoted text must be matched, because it may contain characters that look like
 * a comment.
 */
const sqlTokens =
  /'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`|(?:--[^\n]*|\/\*[\s\S]*?\*\/|\s)+/g;

/**
 * Returns a function that replaces the placeholders of migrations. The names come from configuration, and SQL parameters cannot
 * replace all of them.
 */
export function fillerFor(database: string, options: MigrateOptions): (text: string) => string {
  const cluster = options.cluster ?? null;
  for (const name of [database, cluster ?? 'none']) {
    if (!/^\w+$/.test(name)) throw new TollgateError('CONFIG_INVALID', `Not a usable name: ${name}`);
  }
  const values: Record<string, string> = {
    database,
    on_cluster: cluster === null ? '' : `ON CLUSTER '${cluster}'`,
    replicated: cluster === null ? '' : 'Replicated',
    raw_retention_days: String(Math.trunc(options.rawRetentionDays ?? rawRetentionDaysDefault)),
  };
  return (text) => text.replaceAll(/\{(\w+)\}/g, (placeholder, name: string) => values[name] ?? placeholder);
}

/**
 * Splits a file into statements at the semicolons that end a line. Comment lines are removed first, so they may contain
 * semicolons.
 */
export function statementsOf(text: string): string[] {
  return text
    .replaceAll(/^[ \t]*--.*$/gm, '')
    .split(/;\s*$/m)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
}
