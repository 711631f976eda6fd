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

/**
 * Returns the limits that refused requests of the tenant in the two minutes before `atMs`, the one with the most
 * refusals first. Called only when many requests are refused: the query reads the tenant's events of two minutes.
 */
export function findRefusingLimits(
  clickhouse: ClickHouseReader,
  tenantId: string,
  atMs: number,
): Promise<readonly RefusingLimit[]> {
  return clickhouse.query<RefusingLimit>(
    `SELECT arrayJoin(limited_by) AS name,
       countIf(time > fromUnixTimestamp64Milli({minute:Int64}, 'UTC')) AS lastMinute
     FROM usage_events
     WHERE tenant_id = {tenantId:String} AND ${refused}
       AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time <= fromUnixTimestamp64Milli({to:Int64}, 'UTC')
     GROUP BY name ORDER BY count() DESC, name LIMIT ${limitsMax}`,
    { tenantId, from: atMs - spanMs, to: atMs, minute: atMs - minuteMs },
  );
}
