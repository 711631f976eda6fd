import type { Amount } from '../../domain/amount.ts';
import { requestEventType } from '../../domain/usage-event.ts';
import type { ClickHouse } from '../client.ts';
import { passedLimits } from './predicates.ts';

export interface CallersQuery {
  /** Unix milliseconds; the first instant counted. */
  readonly fromMs: number;
  /** Null: all tenants, and callers without one. */
  readonly tenantIds: readonly string[] | null;
  /** Unix milliseconds: only callers, by user or network, with a request decided without Redis since then; null: all. */
  readonly degradedSinceMs: number | null;
  /** Whether callers with a user are also separated by address. */
  readonly byAddress: boolean;
  /** At most this many rows, those with the most units. */
  readonly rowsMax: number;
}

export interface CallerConsumed {
  readonly tenant_id: string;
  /** Empty for requests without a user. */
  readonly user_id: string;
  /** Empty for callers with a user unless `byAddress`. */
  readonly client_ip: string;
  readonly plan: string;
  readonly route: string;
  readonly units: Amount;
}

/** The network of an address, as the keys in Redis group addresses: IPv4 by address, IPv6 by /64. */
const networkOf = (address: string): string =>
  `if(isIPv4String(${address}), ${address}, toString(IPv6CIDRToRange(toIPv6OrDefault(${address}), 64).1))`;

const degradedOnly = `
       AND ((user_id != '' AND user_id IN (SELECT user_id FROM degraded))
         OR ${networkOf('u.client_ip')} IN (SELECT network FROM degraded))`;

/**
 * Units that passed the limits from `fromMs` until now, by caller. Only events contain users and addresses, so this reads
 * all requests of the span: for rebuilds and after outages, never in the path of a request. Events of API servers are
 * excluded, because no counter of a user counts them. Rejects when ClickHouse does not answer.
 */
export async function readConsumedByCaller(
  clickhouse: ClickHouse,
  { fromMs, tenantIds, degradedSinceMs, byAddress, rowsMax }: CallersQuery,
): Promise<CallerConsumed[]> {
  return clickhouse.query<CallerConsumed>(
    `WITH degraded AS (
       SELECT DISTINCT user_id, ${networkOf('client_ip')} AS network FROM usage_events
       WHERE time >= fromUnixTimestamp64Milli({degradedSince:Int64}, 'UTC') AND degraded AND type = {type:String}
         AND ${passedLimits}
     )
     SELECT tenant_id, user_id, if(user_id = '' OR {byAddress:Bool}, u.client_ip, '') AS client_ip, plan, route,
            sum(u.units) AS units
     FROM usage_events AS u
     WHERE time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND type = {type:String}
       AND ${passedLimits}
       ${degradedSinceMs === null ? '' : degradedOnly}
       ${tenantIds === null ? '' : 'AND tenant_id IN {tenantIds:Array(String)}'}
     GROUP BY tenant_id, user_id, client_ip, plan, route
     ORDER BY units DESC
     LIMIT {rowsMax:UInt32}`,
    {
      from: fromMs,
      degradedSince: degradedSinceMs ?? 0,
      type: requestEventType,
      byAddress,
      rowsMax,
      ...(tenantIds === null ? {} : { tenantIds }),
    },
  );
}
