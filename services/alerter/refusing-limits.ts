import type { ClickHouse } from '../../shared/clickhouse/client.ts';

/** Knows which limit refuses a tenant's requests. */
export interface Rejector {
  /** Name of the limit that refused most of the tenant's requests in the minute before `atMs`; null when none did. */
  limitBehind(tenantId: string, atMs: number): Promise<string | null>;
}

/** Asked only when refusals are heavy, so reading a minute of events costs little. */
export function createRejector(clickhouse: ClickHouse): Rejector {
  return {
    async limitBehind(tenantId, atMs) {
      const rows = await clickhouse.query<{ name: string }>(
        `SELECT arrayJoin(limited_by) AS name FROM usage_events
         WHERE tenant_id = {tenantId:String} AND decision = 'limited'
           AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time <= fromUnixTimestamp64Milli({to:Int64}, 'UTC')
         GROUP BY name ORDER BY count() DESC, name LIMIT 1`,
        { tenantId, from: atMs - 120_000, to: atMs },
      );
      return rows[0]?.name ?? null;
    },
  };
}
