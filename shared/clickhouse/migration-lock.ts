import { setTimeout as wait } from 'node:timers/promises';
import { ClickHouseError } from '@clickhouse/client';
import { TollgateError } from '../runtime/errors.ts';
import type { ClickHouse } from './client.ts';

const table = 'schema_migrations_lock';
/** The creation of a table succeeds for one process only, so the table is the lock. */
const acquire = `
CREATE TABLE {database}.${table} {on_cluster} (process String)
ENGINE = Memory COMMENT 'Exists while a process migrates the database'`;
const release = `DROP TABLE IF EXISTS {database}.${table} {on_cluster}`;
const tableExists = '57';

const pollMs = 100;
/** A lock of this age belongs to a process that crashed. Migrations of an installed database take less than a minute. */
const staleSecondsDefault = 60;

/**
 * Runs the work while no other process migrates this database. ClickHouse does not serialize changes of a schema: a view that two
 * processes replace and alter at once is refused, or keeps the older of two versions. `fill` replaces the placeholders of
 * migrations.
 */
export async function withMigrationLock<Result>(
  clickhouse: ClickHouse,
  fill: (text: string) => string,
  work: () => Promise<Result>,
  staleSeconds = staleSecondsDefault,
): Promise<Result> {
  while (!(await isAcquired(clickhouse, fill))) {
    if (await isOlder(clickhouse, staleSeconds)) await clickhouse.command(fill(release));
    else await wait(pollMs);
  }
  try {
    return await work();
  } finally {
    await clickhouse.command(fill(release));
  }
}

async function isAcquired(clickhouse: ClickHouse, fill: (text: string) => string): Promise<boolean> {
  try {
    await clickhouse.command(fill(acquire));
    return true;
  } catch (error) {
    const cause = error instanceof TollgateError ? error.cause : null;
    if (cause instanceof ClickHouseError && cause.code === tableExists) return false;
    throw error;
  }
}

async function isOlder(clickhouse: ClickHouse, seconds: number): Promise<boolean> {
  const [found] = await clickhouse.query<{ age: number }>(
    `SELECT dateDiff('second', metadata_modification_time, now()) AS age FROM system.tables
    WHERE database = {database:String} AND name = '${table}'`,
    { database: clickhouse.options.database },
  );
  return found !== undefined && found.age > seconds;
}
