import { isRequest } from '../predicates.ts';
import type { ClickHouseReader } from '../../client.ts';
import { levelRange } from '../usage-levels.ts';

/** Returns true if a gateway recorded a request since the UTC day of `sinceMs`. */
export async function servedSince(clickhouse: ClickHouseReader, sinceMs: number): Promise<boolean> {
  const rows = await clickhouse.query(
    `SELECT 1 FROM usage_by_day WHERE ${levelRange('day', 'since', null)} AND ${isRequest} LIMIT 1`,
    { since: sinceMs },
  );
  return rows.length > 0;
}
