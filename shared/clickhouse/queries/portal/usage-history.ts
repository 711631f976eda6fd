import type { Amount } from '../../../domain/amount.ts';
import type { Money } from '../../../domain/money.ts';
import { requestEventType } from '../../../domain/usage-event.ts';
import type { ClickHouseReader } from '../../client.ts';
import { withMoney } from '../decimals.ts';
import type { MoneyAsText } from '../decimals.ts';
import type { Span } from '../period-totals.ts';
import { refused, served } from '../predicates.ts';
import { levelRange } from '../usage-levels.ts';

/** Dimensions by which the usage of a tenant can be divided and filtered. */
export type HistoryDimension = 'route' | 'user' | 'decision' | 'model';

export const historyDimensions: readonly HistoryDimension[] = ['route', 'user', 'decision', 'model'];

export interface HistoryQuery extends Span {
  /** Length of an interval. Days begin in the time zone; other intervals in UTC. */
  readonly stepMs: number;
  readonly zone: string;
  /** Null: one row for each interval. */
  readonly by: HistoryDimension | null;
  readonly filter: Readonly<Partial<Record<HistoryDimension, string>>>;
}

export interface HistoryRow {
  /** Start of the interval, Unix milliseconds. */
  readonly at_ms: number;
  /** Value of the dimension; empty if the query has none. */
  readonly key: string;
  readonly requests: number;
  readonly limited: number;
  readonly errors: number;
  readonly units: Amount;
  readonly cost: Money;
  /** 95th percentile of the latency of served requests in milliseconds; null without such requests. */
  readonly latency_p95: number | null;
}

const minuteMs = 60_000;
const hourMs = 3_600_000;
const dayMs = 86_400_000;
/** Most rows of a history; a history with this number of rows is cut. */
export const historyRowsMax = 50_000;

/**
 * Returns the usage of a tenant by interval and by one dimension. Totals do not contain users, so a query by user or of
 * a user reads events, which takes longer. Intervals without usage have no row.
 */
export async function usageHistory(
  clickhouse: ClickHouseReader,
  tenantId: string,
  { startMs, endMs, stepMs, zone, by, filter }: HistoryQuery,
): Promise<HistoryRow[]> {
  const ofEvents = by === 'user' || filter.user !== undefined;
  const level = ofEvents ? 'event' : stepMs < hourMs ? 'minute' : 'hour';
  const view = level === 'event' ? 'usage_events' : `usage_by_${level}_states`;
  const time = level === 'event' ? 'time' : level;
  const requests = level === 'event' ? '1' : 'u.requests';
  const sum = (column: string, condition: string): string => `sumIf(${column}, ${condition})`;
  const columns: Readonly<Record<HistoryDimension, string>> = {
    route: 'route',
    user: 'user_id',
    decision: 'decision',
    model: 'model',
  };
  const filters = historyDimensions.filter((name) => filter[name] !== undefined);
  const bucket =
    stepMs >= dayMs
      ? `toStartOfDay(toTimeZone(${time}, {zone:String}))`
      : `toStartOfInterval(toDateTime(${time}, 'UTC'), INTERVAL ${Math.round(stepMs / minuteMs)} MINUTE)`;
  const latency =
    level === 'event'
      ? `quantileTDigestIf(0.95)(latency_ms, ${served})`
      : `quantilesTDigestMergeIf(0.5, 0.95, 0.99)(latency_state, ${served})[2]`;
  const rows = await clickhouse.query<MoneyAsText<HistoryRow>>(
    `SELECT toInt64(toUnixTimestamp(${bucket})) * 1000 AS at_ms,
      toString(${by === null ? `''` : columns[by]}) AS key,
      sum(${requests}) AS requests, ${sum(requests, refused)} AS limited,
      ${level === 'event' ? 'countIf(status >= 500)' : 'sum(u.errors)'} AS errors,
      ${sum('u.units', served)} AS units, toString(${sum('u.cost', served)}) AS cost,
      if(countIf(${served}) = 0, NULL, ${latency}) AS latency_p95
    FROM ${view} AS u
    WHERE tenant_id = {tenant:String} AND type = {requestType:String} AND ${levelRange(level, 'from', 'to')}
      ${filters.map((name) => `AND ${columns[name]} = {${name}:String}`).join(' ')}
    GROUP BY at_ms, key ORDER BY at_ms, key LIMIT {rowsMax:UInt32}`,
    {
      ...{
        tenant: tenantId,
        requestType: requestEventType,
        from: startMs,
        to: endMs,
        zone,
        rowsMax: historyRowsMax,
      },
      ...Object.fromEntries(filters.map((name) => [name, filter[name]])),
    },
  );
  return rows.map((row) => withMoney<HistoryRow>(row));
}
