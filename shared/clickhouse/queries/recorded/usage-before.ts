import type { Outcome } from '../../../domain/decision.ts';
import { anonymousTenant, requestEventType } from '../../../domain/usage-event.ts';
import type { ExactAmounts } from '../../../domain/events/call-usage.ts';
import type { ClickHouseReader, QueryOptions } from '../../client.ts';
import { amountsText, parseAmounts } from '../decimals.ts';
import type { AmountsAsText } from '../decimals.ts';
import { countedByQuotas } from '../predicates.ts';
import type { RecordedEventsQuery } from './recorded-events.ts';

/** Equal requests of a quarter of an hour that passed the limits, with the sum of their amounts. */
export interface UsageBefore {
  readonly kind: 'request' | 'usage';
  /** Start of the quarter of an hour. Every calendar period of every time zone begins with one. */
  readonly timeMs: number;
  readonly tenantId: string | null;
  readonly userId: string | null;
  readonly ip: string;
  readonly plan: string;
  readonly method: string;
  readonly path: string;
  readonly route: string;
  readonly status: number;
  readonly decision: Outcome;
  readonly units: number;
  readonly service: string;
  readonly entrypoint: string;
  readonly apiKey: string;
  readonly model: string;
  readonly quantities: ExactAmounts;
  /** Number of these requests; each of them had `units`. */
  readonly requests: number;
}

/** Which fields of requests are read. The others are empty, and requests that differ only in them are equal. */
export interface UsageFields {
  readonly user: boolean;
  readonly ip: boolean;
  readonly path: boolean;
  /** The API key and the model. */
  readonly attributes: boolean;
}

export interface UsageBeforeQuery extends RecordedEventsQuery {
  readonly fields: UsageFields;
}

/** More groups in one range are an error, because all of them are in memory. */
const groupsMax = 400_000;

/** Returns the usage of a range, from which quotas are computed. Rejects if it has more than `groupsMax` groups. */
export async function readUsageBefore(
  clickhouse: ClickHouseReader,
  { fromMs, toMs, tenantId, fields }: UsageBeforeQuery,
  options: QueryOptions = {},
): Promise<UsageBefore[]> {
  const read = (isRead: boolean, column: string): string => (isRead ? column : `''`);
  const rows = await clickhouse.query<Row>(
    `SELECT if(type = '${requestEventType}', 'request', 'usage') AS kind,
      toInt64(toUnixTimestamp(toStartOfFifteenMinutes(time))) * 1000 AS timeMs,
      tenant_id AS tenantId, ${read(fields.user, 'user_id')} AS userId, ${read(fields.ip, 'client_ip')} AS ip, plan, method,
      ${read(fields.path, 's.path')} AS path, route, status, decision, units, service,
      entrypoint, ${read(fields.attributes, 'api_key')} AS apiKey, ${read(fields.attributes, 's.model')} AS model, ${amountsText('sumMap(quantities)')} AS quantities, count() AS requests
    FROM stored_events AS s FINAL
    WHERE time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
      AND ${countedByQuotas} AND NOT voided ${tenantId === null ? '' : 'AND tenant_id = {tenant:String}'}
    GROUP BY kind, timeMs, tenantId, userId, ip, plan, method, path, route, status, decision, units, service, entrypoint, apiKey, model
    ORDER BY timeMs LIMIT ${groupsMax + 1}
    SETTINGS do_not_merge_across_partitions_select_final = 1`,
    { from: fromMs, to: toMs, ...(tenantId === null ? {} : { tenant: tenantId }) },
    options,
  );
  if (rows.length > groupsMax)
    throw new Error(
      `The usage before the range has too many different requests between ${new Date(fromMs).toISOString()} and ${new Date(toMs).toISOString()} to be in memory. Backtest one tenant, or the policy without quotas by user, address or route.`,
    );
  return rows.map((row) => ({
    ...row,
    tenantId: row.tenantId === anonymousTenant ? null : row.tenantId,
    userId: row.userId === '' ? null : row.userId,
    quantities: parseAmounts(row.quantities),
  }));
}

type Row = Omit<UsageBefore, 'tenantId' | 'userId' | 'quantities'> & {
  readonly tenantId: string;
  readonly userId: string;
  readonly quantities: AmountsAsText;
};
