import { calendarIntervals } from '../../domain/time/calendar-intervals.ts';
import type { MeterAggregation, MeterDefinition, MeterWindow } from '../../domain/meter.ts';
import { moneyText } from '../../domain/money.ts';
import type { Money } from '../../domain/money.ts';
import type { ClickHouseReader, Params } from '../client.ts';
import { parseMoney } from './decimals.ts';
import { decimalSql, fieldSql } from './meter-fields.ts';
import { levelRange } from './usage-levels.ts';
import { completeThrough } from './usage.ts';

export interface MeterQuery {
  readonly tenantId: string;
  /** Unix milliseconds; `toMs` is excluded. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Null: the whole span is one window. */
  readonly window: MeterWindow | null;
  /** IANA time zone that determines when days and months begin. */
  readonly timeZone: string;
  /** Fields to group by. The caller must make sure that all of them are in `definition.groupBy`. */
  readonly groupBy: readonly string[];
  /** Values by field: only events with these values are measured. */
  readonly filter: Readonly<Record<string, string>>;
  /** Only the groups with the largest values over the whole span; null: all groups. */
  readonly top: number | null;
}

export interface MeterRow {
  /** ISO 8601 in UTC. Start and end are those of the full window, even if the span covers only a part of the window. */
  readonly window_start: string;
  readonly window_end: string;
  readonly group: Readonly<Record<string, string>>;
  /** Null if no event of the window has a value. The type is `Money` if `cost` is measured, except for averages and counts. */
  readonly value: number | Money | null;
}

export interface MeterResult {
  /** Ordered by window, then group. Windows without events are omitted. */
  readonly rows: readonly MeterRow[];
  /** The rows include all events up to this time, because this time is read before the rows. */
  readonly complete_through: string | null;
  /** True when there are more rows than `rowsMax`. */
  readonly cut: boolean;
}

export const rowsMax = 10_000;

interface MeasuredRow {
  readonly start: number;
  readonly end: number;
  readonly groups: readonly string[];
  /** Money is text. */
  readonly value: number | string | null;
}

/** Longest time of a query in seconds, the same as the timeout of its callers. ClickHouse stops a query that takes longer. */
const secondsMax = 5;

/**
 * Measures the events of one tenant. Every query returns the events of this tenant only. Events are sorted by minute before tenant,
 * so a query over a month passes over the events of all tenants. With `hours` = `counted`, it reads only the hours in which the totals
 * count events of the tenant and type. The totals have all events up to `complete_through`, but may lack later ones.
 */
export async function queryMeter(
  clickhouse: ClickHouseReader,
  definition: MeterDefinition,
  query: MeterQuery,
  hours: 'all' | 'counted' = 'all',
): Promise<MeterResult> {
  const through = await completeThrough(clickhouse);
  const names: Record<string, string> = {};
  const groups = query.groupBy.map((field, index) => fieldSql(definition, field, `group${index}`, names));
  const conditions = Object.entries(query.filter).map(([field, value], index) => {
    names[`filter${index}`] = value;
    return `${fieldSql(definition, field, `filtered${index}`, names)} = {filter${index}:String}`;
  });
  const value = valueSql(definition, names);
  const grouped = `[${groups.join(', ')}]`;
  const measured = `FROM usage_events
    WHERE tenant_id = {tenant:String} AND type = {type:String}
      AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
      ${hours === 'counted' ? `AND ${inCountedHours}` : ''}
      ${conditions.map((condition) => `AND ${condition}`).join(' ')}`;
  // Equal values are ordered by group, so that the result is always the same.
  const topGroups = `AND ${grouped} IN (SELECT ${grouped} AS top_group ${measured}
      GROUP BY top_group ORDER BY ${value.order} DESC NULLS LAST, top_group LIMIT {top:UInt32})`;
  const rows = await clickhouse.query<MeasuredRow>(
    `WITH ${query.window === null ? wholeSpan : windowOfEvent}
    SELECT start, end, ${grouped} AS groups, ${value.sql} AS value
    ${measured} ${query.top === null ? '' : topGroups}
    GROUP BY start, end, groups
    ORDER BY start, groups
    LIMIT {rowsMax:UInt32}
    SETTINGS max_execution_time = ${secondsMax}`,
    {
      ...names,
      tenant: query.tenantId,
      type: definition.eventType,
      from: query.fromMs,
      to: query.toMs,
      ...(hours === 'counted' ? { fromHour: Math.floor(query.fromMs / hourMs) * hourMs } : {}),
      ...intervalParams(query),
      top: query.top ?? 0,
      rowsMax: rowsMax + 1,
    },
  );
  return {
    rows: rows.slice(0, rowsMax).map((row) => ({
      window_start: new Date(row.start).toISOString(),
      window_end: new Date(row.end).toISOString(),
      group: Object.fromEntries(query.groupBy.map((field, index) => [field, row.groups[index] ?? ''])),
      value: typeof row.value === 'string' ? parseMoney(row.value) : row.value,
    })),
    complete_through: through,
    cut: rows.length > rowsMax,
  };
}

/** Returns CSV (RFC 4180) with one column for each field of `groupBy`. */
export function meterCsv(rows: readonly MeterRow[], groupBy: readonly string[]): string {
  const lines = rows.map((row) => [
    row.window_start,
    row.window_end,
    ...groupBy.map((field) => row.group[field] ?? ''),
    valueText(row.value),
  ]);
  return [['window_start', 'window_end', ...groupBy, 'value'], ...lines]
    .map((cells) => cells.map(csvCell).join(',') + '\r\n')
    .join('');
}

function valueText(value: MeterRow['value']): string {
  if (value === null) return '';
  return typeof value === 'bigint' ? moneyText(value) : String(value);
}

function csvCell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function valueSql(
  definition: MeterDefinition,
  names: Record<string, string>,
): { readonly sql: string; readonly order: string } {
  const { aggregation, value } = definition;
  const exact =
    value === null ? undefined : exactSql[aggregation]?.(decimalSql(definition, value, 'value', names));
  if (exact !== undefined) return { sql: `toString(${exact})`, order: exact };
  const text = value === null ? `''` : fieldSql(definition, value, 'value', names);
  const sql: Record<MeterAggregation, string> = {
    count: 'toFloat64(count())',
    unique: `toFloat64(uniqExact(nullIf(${text}, '')))`,
    sum: `sumOrNull(${numberOf(text)})`,
    min: `minOrNull(${numberOf(text)})`,
    max: `maxOrNull(${numberOf(text)})`,
    average: `avgOrNull(${numberOf(text)})`,
    // The event id orders events of the same millisecond, so that the result is always the same.
    latest: `argMaxOrNull(${numberOf(text)}, (time, event_id))`,
  };
  return { sql: sql[aggregation], order: sql[aggregation] };
}

/** Aggregations whose result for a decimal is exact. Results for other fields are Float64. */
const exactSql: Partial<Record<MeterAggregation, (decimal: string | null) => string | undefined>> = {
  sum: (decimal) => (decimal === null ? undefined : `sumOrNull(${decimal})`),
  min: (decimal) => (decimal === null ? undefined : `minOrNull(${decimal})`),
  max: (decimal) => (decimal === null ? undefined : `maxOrNull(${decimal})`),
  latest: (decimal) => (decimal === null ? undefined : `argMaxOrNull(${decimal}, (time, event_id))`),
};

/**
 * Returns SQL for the text as a number, or NULL. Infinity and NaN become NULL, because ClickHouse parses them as numbers but JSON
 * cannot represent them.
 */
function numberOf(text: string): string {
  return `if(isFinite(toFloat64OrNull(${text})), toFloat64OrNull(${text}), NULL)`;
}

const hourMs = 3_600_000;

/** Selects by minute, which is the first expression of the sort key: ClickHouse then skips all other minutes. */
const inCountedHours = `toStartOfMinute(time) IN (
        SELECT arrayJoin(arrayMap(index -> hour + index * 60, range(60))) FROM (
          SELECT DISTINCT hour FROM usage_by_hour
          WHERE tenant_id = {tenant:String} AND type = {type:String} AND ${levelRange('hour', 'fromHour', 'to')}))`;

const wholeSpan = '{from:Int64} AS start, {to:Int64} AS end';

/**
 * Windows are computed by `domain/time` and not by ClickHouse. ClickHouse's time zone functions return other bounds for a day
 * whose midnight is skipped, and its list of time zones may be older.
 */
const windowOfEvent = `toUnixTimestamp64Milli(time) AS at,
    roundDown(at, {starts:Array(Int64)}) AS interval_start,
    transform(interval_start, {starts:Array(Int64)}, {lengths:Array(Int64)}, toInt64(0)) AS length,
    interval_start + intDiv(at - interval_start, length) * length AS start,
    start + length AS end`;

function intervalParams({ window: name, timeZone, fromMs, toMs }: MeterQuery): Params {
  if (name === null) return {};
  const intervals = calendarIntervals(name, timeZone, fromMs, toMs);
  return {
    starts: intervals.map(({ startMs }) => startMs),
    lengths: intervals.map(({ lengthMs }) => lengthMs),
  };
}
