import { TollgateError } from '../runtime/errors.ts';
import type { ClickHouseReader } from './client.ts';

/**
 * Compares how long this process believes that raw events are kept with what the tables do. They are told once, when a
 * migration makes them, and every process once more by its environment: events accepted by a longer one would compute
 * minutes from what is left of them. Rejects with CONFIG_INVALID where they differ. Before the tables are made there is
 * nothing to compare.
 */
export async function checkRetention(clickhouse: ClickHouseReader, days: number): Promise<void> {
  const tables = await clickhouse.query<{ name: string; days: number }>(
    `SELECT name, toUInt32OrZero(extract(create_table_query, 'TTL [^\\n]*toIntervalDay\\\\((\\\\d+)\\\\)')) AS days
    FROM system.tables
    WHERE database = currentDatabase() AND days > 0
    ORDER BY name`,
  );
  const others = tables.filter((table) => table.days !== days);
  if (others.length === 0) return;
  const kept = others.map((table) => `${table.name} for ${table.days}`).join(', ');
  throw new TollgateError(
    'CONFIG_INVALID',
    `TOLLGATE_RAW_RETENTION_DAYS is ${days}, and ClickHouse keeps ${kept} days. Set the variable to that, on every ` +
      `gateway and aggregator alike, or change the tables: ALTER TABLE ${others[0]?.name ?? ''} MODIFY TTL ` +
      `toDateTime(time) + INTERVAL ${days} DAY, and so each of them.`,
  );
}
