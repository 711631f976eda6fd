import type { ClickHouseReader } from '../../../shared/clickhouse/client.ts';
import { refused } from '../../../shared/clickhouse/queries/predicates.ts';

const spanMs = 120_000;

/**
 * Returns the name of the limit that refused most of the tenant's requests in the two minutes before `atMs`; null if no
 * request was refused. Called only when many requests are refused: the query reads the tenant's events of two minutes.
 */
export async function findRefusingLimit(
  clickhouse: ClickHouseReader,
  tenantId: string,
  atMs: number,
): Promise<string | null> {
  const rows = await clickhouse.query<{ name: string }>(
    `SELECT arrayJoin(limited_by) AS name FROM usage_events
     WHERE tenant_id = {tenantId:String} AND ${refused}
       AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time <= fromUnixTimestamp64Milli({to:Int64}, 'UTC')
     GROUP BY name ORDER BY count() DESC, name LIMIT 1`,
    { tenantId, from: atMs - spanMs, to: atMs },
  );
  return rows[0]?.name ?? null;
}
