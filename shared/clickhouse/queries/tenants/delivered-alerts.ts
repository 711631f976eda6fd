import type { ClickHouseReader } from '../../client.ts';

export interface DeliveredAlert {
  readonly time: string;
  readonly kind: string;
  readonly limit_name: string;
  readonly threshold: number;
  readonly channel: string;
  readonly target: string;
  readonly status: string;
  readonly attempts: number;
  readonly error: string;
}

/** Returns the latest alerts of a tenant with the result of their delivery, newest first. */
export function deliveredAlerts(
  clickhouse: ClickHouseReader,
  tenantId: string,
  countMax: number,
): Promise<readonly DeliveredAlert[]> {
  return clickhouse.query<DeliveredAlert>(
    `SELECT time, kind, limit_name, threshold, channel, target, status, attempts, error FROM alerts
         WHERE tenant_id = {tenant:String} ORDER BY time DESC LIMIT {countMax:UInt32}`,
    { tenant: tenantId, countMax },
  );
}
