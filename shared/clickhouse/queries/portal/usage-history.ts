import type { Amount } from '../../../domain/amount.ts';
import type { Money } from '../../../domain/money.ts';
import { periodAt } from '../../../domain/time/calendar.ts';
import { requestEventType } from '../../../domain/usage-event.ts';
import type { ClickHouseReader, Params } from '../../client.ts';
import { withMoney } from '../decimals.ts';
import type { MoneyAsText } from '../decimals.ts';
import type { Span } from '../period-totals.ts';
import { refused, served } from '../predicates.ts';
import { levelRange } from '../usage-levels.ts';

/** Dimensions by which the usage of a tenant can be divided and filtered. */
export type HistoryDimension = 'route' | 'user' | 'decision' | 'model';

export const historyDimensions: readonly HistoryDimension[] = ['route', 'user', 'decision', 'model'];

export interface HistoryQuery extends Span {
  /** Length of an interval. Days begin in the time zone; other intervals follow each other from `startMs`. */
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

const hourMs = 3_600_000;
const dayMs = 86_400_000;
/** Most rows of a history. The query returns one row more if there are more. */
export const historyRowsMax = 50_000;
const columns: Readonly<Record<HistoryDimension, string>> = {
  route: 'route',
  user: 'user_id',
  decision: 'decision',
  model: 'model',
};

/**
 * Returns the usage of a tenant by interval and by one dimension. Totals do not contain users, so a query by user or of
 * a user reads events, which takes longer. Intervals without usage have no row.
 */
export async function usageHistory(
  clickhouse: ClickHouseReader,
  tenantId: string,
  query: HistoryQuery,
): Promise<HistoryRow[]> {
  const { startMs, endMs, stepMs, zone, by, filter } = query;
  const filters = historyDimensions.filter((name) => filter[name] !== undefined);
  const where = [
    'tenant_id = {tenant:String} AND type = {requestType:String}',
    ...filters.map((name) => `${columns[name]} = {${name}:String}`),
  ].join(' AND ');
  const ofEvents = readsEvents(query);
  const source = ofEvents ? { sql: eventRows(where), params: {} } : totalRows(query, where);
  const sum = (column: string, condition: string): string => `sumIf(${column}, ${condition})`;
  const bucket =
    stepMs >= dayMs
      ? `toInt64(toUnixTimestamp(toStartOfDay(toTimeZone(u.at, {zone:String})))) * 1000`
      : `{from:Int64} + intDiv(toInt64(toUnixTimestamp(u.at)) * 1000 - {from:Int64}, {step:Int64}) * {step:Int64}`;
  const latency = ofEvents
    ? `quantileTDigestIf(0.95)(u.latency, ${served})`
    : `quantilesTDigestMergeIf(0.5, 0.95, 0.99)(u.latency, ${served})[2]`;
  const rows = await clickhouse.query<MoneyAsText<HistoryRow>>(
    `SELECT ${bucket} AS at_ms, toString(${by === null ? `''` : `u.${columns[by]}`}) AS key,
      sum(u.requests) AS requests, ${sum('u.requests', refused)} AS limited, sum(u.errors) AS errors,
      ${sum('u.units', served)} AS units, toString(${sum('u.cost', served)}) AS cost,
      if(countIf(${served}) = 0, NULL, ${latency}) AS latency_p95
    FROM (${source.sql}) AS u
    GROUP BY at_ms, key ORDER BY at_ms, key LIMIT {rowsMax:UInt32}`,
    {
      ...{ ...source.params, tenant: tenantId, requestType: requestEventType },
      ...{ from: startMs, to: endMs, step: stepMs, zone, rowsMax: historyRowsMax + 1 },
      ...Object.fromEntries(filters.map((name) => [name, filter[name]])),
    },
  );
  return rows.map((row) => withMoney<HistoryRow>(row));
}

/** True if the query reads single events, which expire; totals do not contain users. */
export function readsEvents({ by, filter }: Pick<HistoryQuery, 'by' | 'filter'>): boolean {
  return by === 'user' || filter.user !== undefined;
}

function eventRows(where: string): string {
  return `SELECT time AS at, route, user_id, decision, model, toUInt64(1) AS requests, toUInt64(status >= 500) AS errors, units, cost,
      latency_ms AS latency
    FROM usage_events WHERE ${where} AND ${levelRange('event', 'from', 'to')}`;
}

/**
 * The totals of a history. An hour that contains the border of an interval is read by minute: midnight in Asia/Kolkata is 18:30
 * in UTC. Other hours are read by hour, because the totals by minute have up to 60 times as many rows.
 */
function totalRows(query: HistoryQuery, where: string): { readonly sql: string; readonly params: Params } {
  const rowsOf = (level: 'minute' | 'hour', condition = ''): string =>
    `SELECT ${level} AS at, route, decision, model, requests, errors, units, cost, latency_state AS latency
    FROM usage_by_${level}_states WHERE ${where} AND ${levelRange(level, 'from', 'to')} ${condition}`;
  const { startMs, stepMs } = query;
  if (stepMs < hourMs || (stepMs < dayMs && startMs % hourMs !== 0))
    return { sql: rowsOf('minute'), params: {} };
  const divided = stepMs < dayMs ? [] : dividedHours(query);
  if (divided.length === 0) return { sql: rowsOf('hour'), params: {} };
  const hours = `(SELECT toDateTime(arrayJoin({divided:Array(UInt32)}), 'UTC'))`;
  return {
    sql: `${rowsOf('hour', `AND hour NOT IN ${hours}`)}
    UNION ALL ${rowsOf('minute', `AND toStartOfHour(minute) IN ${hours}`)}`,
    params: { divided },
  };
}

/** The hours of the span that contain its start, its end or a midnight of the zone, other than at their start, in Unix seconds. */
export function dividedHours({
  startMs,
  endMs,
  zone,
}: Pick<HistoryQuery, 'startMs' | 'endMs' | 'zone'>): readonly number[] {
  const borders = [endMs];
  const calendar = zone === 'UTC' ? null : zone;
  for (let borderMs = startMs; borderMs < endMs; borderMs = periodAt('day', calendar, borderMs).endMs)
    borders.push(borderMs);
  const divided = borders.filter((borderMs) => borderMs % hourMs !== 0);
  return [...new Set(divided.map((borderMs) => (borderMs - (borderMs % hourMs)) / 1000))];
}
