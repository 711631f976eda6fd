import type { Amount } from '../../domain/amount.ts';
import { requestEventType } from '../../domain/usage-event.ts';
import type { ClickHouse } from '../client.ts';

export interface CallersQuestion {
  /** Unix milliseconds; the first instant counted. */
  readonly fromMs: number;
  /** Null: all tenants, and callers without one. */
  readonly tenantIds: readonly string[] | null;
  /** Only callers of which a request passed without Redis since then, by user or by network; null: all. */
  readonly degradedSinceMs: number | null;
  /** Whether the address tells callers apart that have a user. */
  readonly byAddress: boolean;
  /** More rows than this are left out, the smallest first. */
  readonly rowsMax: number;
}

export interface CallerConsumed {
  readonly tenant_id: string;
  /** Empty where the request had none. */
  readonly user_id: string;
  /** Empty where it was not asked for: see `byAddress`. */
  readonly client_ip: string;
  readonly plan: string;
  readonly route: string;
  readonly units: Amount;
}

/** One household or host: as keys of Redis count it, IPv6 by /64. */
const networkOf = (address: string): string =>
  `if(isIPv4String(${address}), ${address}, toString(IPv6CIDRToRange(toIPv6OrDefault(${address}), 64).1))`;

const degradedOnly = `
       AND ((user_id != '' AND user_id IN (SELECT user_id FROM degraded))
         OR ${networkOf('u.client_ip')} IN (SELECT network FROM degraded))`;

/**
 * Units that passed under a limit from `fromMs` until now, by who asked. Only the events know users and addresses, so
 * this reads the requests of the whole span: for rebuilds and after outages, never on the way of a request. Events of API servers
 * are left out, as no check of a user ever counted them. Throws when ClickHouse does not answer.
 */
export async function readConsumedByCaller(
  clickhouse: ClickHouse,
  { fromMs, tenantIds, degradedSinceMs, byAddress, rowsMax }: CallersQuestion,
): Promise<CallerConsumed[]> {
  return clickhouse.query<CallerConsumed>(
    `WITH degraded AS (
       SELECT DISTINCT user_id, ${networkOf('client_ip')} AS network FROM usage_events
       WHERE time >= fromUnixTimestamp64Milli({degradedSince:Int64}, 'UTC') AND degraded AND type = {type:String}
         AND decision IN ('allowed', 'shadow_limited')
     )
     SELECT tenant_id, user_id, if(user_id = '' OR {byAddress:Bool}, u.client_ip, '') AS client_ip, plan, route,
            sum(u.units) AS units
     FROM usage_events AS u
     WHERE time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND type = {type:String}
       AND decision IN ('allowed', 'shadow_limited')
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
