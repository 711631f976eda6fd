import type { ClickHouseReader } from '../../client.ts';

export interface TableRetention {
  readonly name: string;
  /** Days after which ClickHouse may delete a row. */
  readonly days: number;
}

/** Returns the tables whose rows expire, by name; `table`: this one only. */
export function retentionOfTables(
  clickhouse: ClickHouseReader,
  table: string | null = null,
): Promise<TableRetention[]> {
  return clickhouse.query<TableRetention>(
    `SELECT name, toUInt32OrZero(extract(create_table_query, 'TTL [^\\n]*toIntervalDay\\\\((\\\\d+)\\\\)')) AS days
    FROM system.tables
    WHERE database = currentDatabase() AND days > 0 ${table === null ? '' : 'AND name = {table:String}'}
    ORDER BY name`,
    table === null ? {} : { table },
  );
}

const dayMs = 86_400_000;

/**
 * Returns the time since which all events are stored, Unix milliseconds; null if events do not expire. A sum of events that begins
 * earlier can be too low. Totals do not expire.
 */
export async function eventsStoredSince(clickhouse: ClickHouseReader, nowMs: number): Promise<number | null> {
  const [events] = await retentionOfTables(clickhouse, 'stored_events');
  return events === undefined ? null : nowMs - events.days * dayMs;
}
