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

/** Time since which all events are stored, Unix milliseconds; null if events do not expire. Totals do not expire. */
export type EventsStoredSince = (nowMs: number) => Promise<number | null>;

const dayMs = 86_400_000;
/** The retention is read again after this time. Only a migration or an operator's ALTER TABLE changes it. */
const keptMs = 600_000;

/**
 * Returns the time since which all events are stored. A sum of events that begins earlier can be too low. Reads at the same time share
 * one query, and a failed query is not kept.
 */
export function createEventsStoredSince(clickhouse: ClickHouseReader): EventsStoredSince {
  let kept: { readonly days: Promise<number | null>; readonly untilMs: number } | null = null;
  return async (nowMs) => {
    if (kept === null || nowMs >= kept.untilMs) {
      const read = { days: retentionOfEvents(clickhouse), untilMs: nowMs + keptMs };
      kept = read;
      read.days.catch(() => {
        if (kept === read) kept = null;
      });
    }
    const days = await kept.days;
    return days === null ? null : nowMs - days * dayMs;
  };
}

/** The time from which on figures of events since `startMs` are complete, ISO 8601; null: from `startMs` on. */
export function completeFrom(startMs: number, storedSinceMs: number | null): string | null {
  return storedSinceMs === null || storedSinceMs <= startMs ? null : new Date(storedSinceMs).toISOString();
}

async function retentionOfEvents(clickhouse: ClickHouseReader): Promise<number | null> {
  const [events] = await retentionOfTables(clickhouse, 'stored_events');
  return events?.days ?? null;
}
