import { requestEventType } from '../../../domain/usage-event.ts';
import type { ClickHouseReader } from '../../client.ts';
import { levelRange } from '../usage-levels.ts';

const dayMs = 86_400_000;

/** Returns the number of requests of a tenant in the last 60 seconds that are already recorded. */
export async function lastMinute(
  clickhouse: ClickHouseReader,
  tenantId: string,
  nowMs: number,
): Promise<number> {
  const rows = await clickhouse.query<{ requests: number }>(
    `SELECT count() AS requests FROM usage_events
     WHERE tenant_id = {tenant:String} AND type = {requestType:String}
       AND time > fromUnixTimestamp64Milli({since:Int64}, 'UTC')`,
    { tenant: tenantId, requestType: requestEventType, since: nowMs - 60_000 },
  );
  return rows[0]?.requests ?? 0;
}

/** Returns the plan of a tenant's latest request in the last month; null if there was none. */
export async function seenPlan(
  clickhouse: ClickHouseReader,
  tenantId: string,
  nowMs: number,
): Promise<string | null> {
  const rows = await clickhouse.query<{ plan: string }>(
    `SELECT plan FROM usage_by_day
     WHERE tenant_id = {tenant:String} AND ${levelRange('day', 'since', null)}
     ORDER BY day DESC, plan DESC LIMIT 1`,
    { tenant: tenantId, since: nowMs - 30 * dayMs },
  );
  return rows[0]?.plan ?? null;
}
