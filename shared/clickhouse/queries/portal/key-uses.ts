import type { ClickHouseReader } from '../../client.ts';

/** Times of the latest request with each API key of a tenant, ISO 8601, by the id of the key (`apiKeyId`). */
export async function keyUses(
  clickhouse: ClickHouseReader,
  tenantId: string,
): Promise<ReadonlyMap<string, string>> {
  const rows = await clickhouse.query<{ id: string; last: string }>(
    `SELECT api_key AS id, max(last_used_at) AS last FROM stored_key_uses
     WHERE tenant_id = {tenant:String} GROUP BY api_key`,
    { tenant: tenantId },
  );
  return new Map(rows.map(({ id, last }) => [id, last]));
}
