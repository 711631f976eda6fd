import { TollgateError } from '../runtime/errors.ts';
import type { ClickHouseReader } from './client.ts';
import { retentionOfTables } from './queries/installation/event-retention.ts';
import { counted } from '../domain/text/counted.ts';

/**
 * Compares the configured retention of raw events with the TTL of the tables. Rejects with CONFIG_INVALID if they differ. The TTL
 * is set once, when a migration creates a table. A process with a longer retention would accept events whose minute has partly
 * expired, and computing that minute again would lower its total. Resolves if the tables do not exist yet.
 */
export async function checkRetention(clickhouse: ClickHouseReader, days: number): Promise<void> {
  const tables = await retentionOfTables(clickhouse);
  const others = tables.filter((table) => table.days !== days);
  if (others.length === 0) return;
  const kept = others.map((table) => `${table.name} for ${counted(table.days, 'day')}`).join(', ');
  throw new TollgateError(
    'CONFIG_INVALID',
    `TOLLGATE_RAW_RETENTION_DAYS is ${days}, and ClickHouse keeps ${kept}. Set the variable to the retention of the ` +
      `tables on every gateway and aggregator, or change each of these tables: ALTER TABLE ${others[0]?.name ?? ''} ` +
      `MODIFY TTL toDateTime(time) + INTERVAL ${days} DAY.`,
  );
}
