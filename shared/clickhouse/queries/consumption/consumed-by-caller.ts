import type { Consumption } from '../../../domain/usage/consumption.ts';
import { requestEventType } from '../../../domain/usage-event.ts';
import type { ClickHouse } from '../../client.ts';
import { amountsText } from '../decimals.ts';
import { withConsumption } from './consumption.ts';
import type { ConsumptionAsText } from './consumption.ts';
import { passedLimits } from '../predicates.ts';

export interface CallersQuery {
  /** Unix milliseconds: units from this time on are counted. */
  readonly fromMs: number;
  /** Null: all tenants, and also callers without a tenant. */
  readonly tenantIds: readonly string[] | null;
  /**
   * Unix milliseconds: reads only callers whose user or network had a request that was decided without Redis since this time;
   * null: all callers.
   */
  readonly degradedSinceMs: number | null;
  /**
   * Unix milliseconds: open reservations of calls since this time are `reserved`. An earlier one counts as consumed only, because
   * Redis lost its record and will not return its amounts. Absent: all open reservations are reserved.
   */
  readonly reservedSinceMs?: number;
  /** True to group callers with a user also by address. */
  readonly byAddress: boolean;
  /** True to group also by model. */
  readonly byModel?: boolean;
  /** Largest number of rows to return. The rows with the most units are returned. */
  readonly rowsMax: number;
}

export interface CallerConsumed extends Consumption {
  readonly tenant_id: string;
  /** Empty for requests without a user. */
  readonly user_id: string;
  /** Empty for callers with a user unless `byAddress` is true. */
  readonly client_ip: string;
  readonly plan: string;
  readonly route: string;
  /** Empty for calls without a model, and unless `byModel` is true. */
  readonly model: string;
}

/**
 * Returns SQL for the network of an address: an IPv4 address itself, or the /64 of an IPv6 address. Keys in Redis group addresses
 * in the same way.
 */
const networkOf = (address: string): string =>
  `if(isIPv4String(${address}), ${address}, toString(IPv6CIDRToRange(toIPv6OrDefault(${address}), 64).1))`;

const degradedOnly = `
       AND ((user_id != '' AND user_id IN (SELECT user_id FROM degraded))
         OR ${networkOf('u.client_ip')} IN (SELECT network FROM degraded))`;

/**
 * Reads the usage of requests that passed the limits from `fromMs` until now, by caller. Only events contain users and addresses,
 * so this reads all requests of the span: use it for rebuilds and after outages, never in the path of a request. Events of API
 * servers are excluded, because no counter of a user counts them. Rejects when ClickHouse does not answer.
 */
export async function readConsumedByCaller(
  clickhouse: ClickHouse,
  {
    fromMs,
    tenantIds,
    degradedSinceMs,
    reservedSinceMs = 0,
    byAddress,
    byModel = false,
    rowsMax,
  }: CallersQuery,
): Promise<CallerConsumed[]> {
  const open = `u.reservation = 'open' AND u.time >= fromUnixTimestamp64Milli({reservedSince:Int64}, 'UTC')`;
  const rows = await clickhouse.query<ConsumptionAsText<CallerConsumed>>(
    `WITH degraded AS (
       SELECT DISTINCT user_id, ${networkOf('client_ip')} AS network FROM usage_events
       WHERE time >= fromUnixTimestamp64Milli({degradedSince:Int64}, 'UTC') AND degraded AND type = {type:String}
         AND ${passedLimits}
     )
     SELECT tenant_id, user_id, if(user_id = '' OR {byAddress:Bool}, u.client_ip, '') AS client_ip, plan, route,
            if({byModel:Bool}, u.model, '') AS model,
            sum(u.units) AS units, ${amountsText('sumMap(u.quantities)')} AS quantities,
            sumIf(u.units, ${open}) AS reserved_units, ${amountsText(`sumMapIf(u.quantities, ${open})`)} AS reserved
     FROM usage_events AS u
     WHERE time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND type = {type:String}
       AND ${passedLimits}
       ${degradedSinceMs === null ? '' : degradedOnly}
       ${tenantIds === null ? '' : 'AND tenant_id IN {tenantIds:Array(String)}'}
     GROUP BY tenant_id, user_id, client_ip, plan, route, model
     ORDER BY units DESC
     LIMIT {rowsMax:UInt32}`,
    {
      from: fromMs,
      degradedSince: degradedSinceMs ?? 0,
      reservedSince: reservedSinceMs,
      type: requestEventType,
      byAddress,
      byModel,
      rowsMax,
      ...(tenantIds === null ? {} : { tenantIds }),
    },
  );
  return rows.map((row) => withConsumption<CallerConsumed>(row));
}
