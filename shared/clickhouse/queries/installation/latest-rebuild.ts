import type { ClickHouseReader } from '../../client.ts';

/**
 * Returns the time at which the last rebuild of lost counters began, ISO 8601; null if there was none since `sinceMs`. The first
 * generation of a server is no rebuild: its counters are new.
 */
export async function latestRebuild(clickhouse: ClickHouseReader, sinceMs: number): Promise<string | null> {
  const [row] = await clickhouse.query<{ readonly began_at: string }>(
    `SELECT stored_at AS began_at FROM counter_generations
    WHERE generation > 1 AND stored_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    ORDER BY stored_at DESC LIMIT 1`,
    { since: sinceMs },
  );
  return row?.began_at ?? null;
}
