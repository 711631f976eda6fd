import { requestEventType } from '../../../domain/usage-event.ts';
import type { ClickHouseReader } from '../../client.ts';
import { refused } from '../predicates.ts';

/** Requests of one caller of a tenant on one route. */
export interface RecentCaller {
  readonly route: string;
  /** Empty for requests without a user. */
  readonly user_id: string;
  readonly client_ip: string;
  /** Empty for calls without a model. */
  readonly model: string;
  readonly requests: number;
  readonly limited: number;
}

/** Returns the callers of a tenant since `sinceMs` with the most requests, refused requests included. */
export function recentCallers(
  clickhouse: ClickHouseReader,
  tenantId: string,
  sinceMs: number,
  countMax: number,
): Promise<RecentCaller[]> {
  return clickhouse.query<RecentCaller>(
    `SELECT route, user_id, client_ip, model, count() AS requests, countIf(${refused}) AS limited
    FROM usage_events
    WHERE tenant_id = {tenant:String} AND time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
      AND type = {requestType:String}
    GROUP BY route, user_id, client_ip, model
    ORDER BY requests DESC, route, user_id, client_ip, model
    LIMIT {countMax:UInt32}`,
    { tenant: tenantId, since: sinceMs, countMax, requestType: requestEventType },
  );
}
