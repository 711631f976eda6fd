import type { ClickHouseReader } from '../../../shared/clickhouse/client.ts';
import { refused } from '../../../shared/clickhouse/queries/predicates.ts';

const spanMs = 120_000;
const minuteMs = 60_000;
const limitsMax = 50;

/** Requests that one limit refused. */
export interface RefusingLimit {
  readonly name: string;
  readonly lastMinute: number;
}

/** A tenant, and the end of the two minutes that are read. */
export interface RefusedTenant {
  readonly tenantId: string;
  readonly atMs: number;
}

/**
 * Returns, by tenant, the limits that refused its requests in the two minutes before its `atMs`, the one with the most refusals
 * first. One query reads all tenants, so that its duration does not grow by a round trip for each of them.
 */
export async function findRefusingLimits(
  clickhouse: ClickHouseReader,
  tenants: readonly RefusedTenant[],
): Promise<ReadonlyMap<string, readonly RefusingLimit[]>> {
  if (tenants.length === 0) return new Map();
  const times = tenants.map(({ atMs }) => atMs);
  const rows = await clickhouse.query<RefusingLimit & { readonly tenantId: string }>(
    `WITH transform(tenant_id, {tenants:Array(String)}, {times:Array(Int64)}, toInt64(0)) AS atMs
     SELECT tenant_id AS tenantId, arrayJoin(limited_by) AS name,
       countIf(time > fromUnixTimestamp64Milli(atMs - ${minuteMs}, 'UTC')) AS lastMinute
     FROM usage_events
     WHERE tenant_id IN {tenants:Array(String)} AND ${refused}
       AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time <= fromUnixTimestamp64Milli({to:Int64}, 'UTC')
       AND time >= fromUnixTimestamp64Milli(atMs - ${spanMs}, 'UTC') AND time <= fromUnixTimestamp64Milli(atMs, 'UTC')
     GROUP BY tenantId, name ORDER BY tenantId, count() DESC, name LIMIT ${limitsMax} BY tenantId`,
    {
      tenants: tenants.map(({ tenantId }) => tenantId),
      times,
      from: Math.min(...times) - spanMs,
      to: Math.max(...times),
    },
  );
  return Map.groupBy(rows, ({ tenantId }) => tenantId);
}
