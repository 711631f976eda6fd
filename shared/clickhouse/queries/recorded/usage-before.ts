import { requestEventType } from '../../../domain/usage-event.ts';
import type { ExactAmounts } from '../../../domain/events/call-usage.ts';
import type { ClickHouseReader, QueryOptions } from '../../client.ts';
import { amountsText, parseAmounts } from '../decimals.ts';
import type { AmountsAsText } from '../decimals.ts';
import { countedByQuotas } from '../predicates.ts';
import { callerOf, inRange, ofTenant, paramsOf } from './recorded-events.ts';
import type { RecordedEvent, RecordedEventsQuery } from './recorded-events.ts';

/** The fields that quotas depend on: requests of a quarter of an hour with the same values are equal. */
type GroupedFields = Pick<
  RecordedEvent,
  | 'kind'
  | 'timeMs'
  | 'tenantId'
  | 'userId'
  | 'ip'
  | 'plan'
  | 'method'
  | 'path'
  | 'route'
  | 'status'
  | 'decision'
  | 'units'
  | 'service'
  | 'entrypoint'
  | 'apiKey'
  | 'model'
>;

/**
 * Equal requests that passed the limits, with the sum of their amounts. `timeMs` is the start of the quarter of an hour:
 * every calendar period of every time zone begins with one.
 */
export interface UsageBefore extends GroupedFields {
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
  query: UsageBeforeQuery,
  options: QueryOptions = {},
): Promise<UsageBefore[]> {
  const { fromMs, toMs, tenantId, fields } = query;
  const read = (isRead: boolean, column: string): string => (isRead ? column : `''`);
  const rows = await clickhouse.query<Row>(
    `SELECT if(type = '${requestEventType}', 'request', 'usage') AS kind,
      toInt64(toUnixTimestamp(toStartOfFifteenMinutes(time))) * 1000 AS timeMs,
      tenant_id AS tenantId, ${read(fields.user, 'user_id')} AS userId, ${read(fields.ip, 'client_ip')} AS ip, plan, method,
      ${read(fields.path, 's.path')} AS path, route, status, decision, units, service,
      entrypoint, ${read(fields.attributes, 'api_key')} AS apiKey, ${read(fields.attributes, 's.model')} AS model, ${amountsText('sumMap(quantities)')} AS quantities, count() AS requests
    FROM stored_events AS s FINAL
    WHERE ${inRange} AND ${countedByQuotas} AND NOT voided ${ofTenant(tenantId)}
    GROUP BY kind, timeMs, tenantId, userId, ip, plan, method, path, route, status, decision, units, service, entrypoint, apiKey, model
    ORDER BY timeMs LIMIT ${groupsMax + 1}
    SETTINGS do_not_merge_across_partitions_select_final = 1`,
    paramsOf(query),
    options,
  );
  if (rows.length > groupsMax)
    throw new Error(
      `The usage before the range has too many different requests between ${new Date(fromMs).toISOString()} and ${new Date(toMs).toISOString()} to be in memory. Backtest one tenant, or the policy without quotas by user, address or route.`,
    );
  return rows.map((row) => ({
    ...row,
    ...callerOf(row.tenantId, row.userId),
    quantities: parseAmounts(row.quantities),
  }));
}

type Row = Omit<UsageBefore, 'tenantId' | 'userId' | 'quantities'> & {
  readonly tenantId: string;
  readonly userId: string;
  readonly quantities: AmountsAsText;
};
