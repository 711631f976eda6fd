import type { ClickHouseReader, Params } from '../../client.ts';
import { withMoney } from '../decimals.ts';
import type { MoneyAsText } from '../decimals.ts';
import type { Span } from '../period-totals.ts';
import { hoursFor, hoursWithEvents } from './event-hours.ts';
import type { CountedHour } from './event-hours.ts';
import type { Amount } from '../../../domain/amount.ts';
import type { Money } from '../../../domain/money.ts';

/** Selects recorded events of a tenant. Absent fields select all. */
export interface EventFilter extends Span {
  readonly route?: string;
  readonly user?: string;
  readonly decision?: string;
  readonly type?: string;
  readonly source?: string;
  readonly model?: string;
  readonly id?: string;
  /** First and last HTTP status. */
  readonly statuses?: readonly [number, number];
}

/** A position in the list: events before it follow. With an empty id, all events before the time. */
export interface EventCursor {
  readonly timeMs: number;
  readonly id: string;
}

export interface ListedEvent {
  readonly event_id: string;
  readonly time: string;
  readonly type: string;
  readonly source: string;
  readonly user_id: string;
  readonly api_key: string;
  readonly method: string;
  readonly path: string;
  readonly route: string;
  readonly status: number;
  readonly decision: string;
  readonly limited_by: readonly string[];
  readonly units: Amount;
  readonly cost: Money;
  readonly latency_ms: number;
  readonly model: string;
}

export interface EventPage {
  readonly events: readonly ListedEvent[];
  /** Where the next page begins; null: no event follows. */
  readonly next: EventCursor | null;
}

const hourMs = 3_600_000;
/** Queries for one page. A filter that the totals do not contain can need more; the next page then continues. */
const readsMax = 8;
/** Rows that one query may read. A page of a busy installation stays far below it. */
const rowsReadMax = 50_000_000;
/** A read after one that found too few events covers this many times as many. */
const growth = 8;

/**
 * Returns a tenant's events before the cursor, newest first. Events are sorted by minute before tenant, so a query over a
 * month would read the events of all tenants. Therefore the totals name the hours that have events of the tenant, and only
 * the newest of these hours are read, until the page is full.
 */
export async function eventPage(
  clickhouse: ClickHouseReader,
  tenantId: string,
  filter: EventFilter,
  { cursor, countMax }: { readonly cursor: EventCursor | null; readonly countMax: number },
): Promise<EventPage> {
  const endMs = Math.min(filter.endMs, cursor === null ? Infinity : cursor.timeMs + 1);
  if (endMs <= filter.startMs) return { events: [], next: null };
  const hours = await hoursWithEvents(clickhouse, tenantId, { ...filter, endMs }, conditionOfTotals(filter));
  const events: ListedEvent[] = [];
  let from = 0;
  let wanted = countMax;
  for (let reads = 0; reads < readsMax && from < hours.length; reads += 1) {
    const to = hoursFor(hours, from, wanted);
    const span = spanOf(hours.slice(from, to), { ...filter, endMs });
    const missing = countMax + 1 - events.length;
    events.push(...(await readEvents(clickhouse, tenantId, { ...filter, ...span }, cursor, missing)));
    if (events.length > countMax)
      return { events: events.slice(0, countMax), next: cursorOf(events[countMax - 1]) };
    from = to;
    wanted *= growth;
  }
  const newestLeft = hours[from];
  const searchedMs = newestLeft === undefined ? null : Math.min(endMs, newestLeft.hourMs + hourMs);
  return { events, next: searchedMs === null ? null : { timeMs: searchedMs, id: '' } };
}

/** SQL and parameters of the part of the filter that the totals contain. */
function conditionOfTotals({ route, decision, type, model }: EventFilter): {
  readonly condition: string;
  readonly params: Params;
} {
  const params = presentOf({ route, decision, type, model });
  const conditions = Object.keys(params).map((name) => `${name} = {${name}:String}`);
  return { condition: conditions.join(' AND ') || '1', params };
}

function spanOf(hours: readonly CountedHour[], { startMs, endMs }: Span): Span {
  const newest = hours[0]?.hourMs ?? startMs;
  const oldest = hours.at(-1)?.hourMs ?? startMs;
  return { startMs: Math.max(startMs, oldest), endMs: Math.min(endMs, newest + hourMs) };
}

async function readEvents(
  clickhouse: ClickHouseReader,
  tenantId: string,
  filter: EventFilter,
  cursor: EventCursor | null,
  countMax: number,
): Promise<ListedEvent[]> {
  const { startMs, endMs, statuses, id, ...texts } = filter;
  const params = presentOf(texts);
  const conditions = [
    'tenant_id = {tenant:String}',
    `e.time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')`,
    `e.time < fromUnixTimestamp64Milli({to:Int64}, 'UTC')`,
    ...Object.keys(params).map((name) => `${columns[name] ?? name} = {${name}:String}`),
    ...(id === undefined ? [] : ['event_id = {id:String}']),
    ...(statuses === undefined ? [] : ['status BETWEEN {statusMin:UInt16} AND {statusMax:UInt16}']),
    ...(cursor === null
      ? []
      : [`(e.time, event_id) < (fromUnixTimestamp64Milli({cursorMs:Int64}, 'UTC'), {cursorId:String})`]),
  ];
  const rows = await clickhouse.query<MoneyAsText<ListedEvent>>(
    `SELECT event_id, e.time AS time, type, source, user_id, api_key, method, path, route, status, decision, limited_by,
      units, toString(cost) AS cost, latency_ms, model
    FROM usage_events AS e WHERE ${conditions.join(' AND ')}
    ORDER BY e.time DESC, event_id DESC
    LIMIT {countMax:UInt32}
    SETTINGS max_rows_to_read = ${rowsReadMax}`,
    {
      ...{ tenant: tenantId, from: startMs, to: endMs, countMax, ...params },
      ...(id === undefined ? {} : { id }),
      ...(statuses === undefined ? {} : { statusMin: statuses[0], statusMax: statuses[1] }),
      ...(cursor === null ? {} : { cursorMs: cursor.timeMs, cursorId: cursor.id }),
    },
  );
  return rows.map(withMoney<ListedEvent>);
}

/** Columns of the view whose name differs from the field of the filter. */
const columns: Readonly<Record<string, string>> = { user: 'user_id' };

function presentOf(values: Readonly<Record<string, string | undefined>>): Params {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function cursorOf(event: ListedEvent | undefined): EventCursor | null {
  return event === undefined ? null : { timeMs: Date.parse(event.time), id: event.event_id };
}
