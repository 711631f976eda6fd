import type { ClickHouseReader, Params } from '../../client.ts';
import type { EventCursor } from './event-list.ts';
import type { Span } from '../period-totals.ts';
import { overLimit, passedLimits } from '../predicates.ts';
import { requestEventType } from '../../../domain/usage-event.ts';

/** Selects requests over a limit. Absent fields select all. */
export interface RefusalFilter extends Span {
  readonly route?: string;
  readonly user?: string;
  /** Name of a limit, or a reason such as `blocked`. */
  readonly limit?: string;
  readonly decision?: string;
}

/** A part of a list, which is read without counting the list. */
export interface ListPart {
  /** ClickHouse sorts and drops this many rows, so callers bound it. */
  readonly offset: number;
  /** The part has rows before this position only. The position of a group is that of its last request. */
  readonly cursor?: EventCursor | null;
  readonly countMax: number;
}

/** Requests over the same limits, of one user on one route. */
export interface RefusalGroup {
  readonly route: string;
  readonly user_id: string;
  readonly limited_by: readonly string[];
  readonly decision: string;
  readonly requests: number;
  /** Times of the first and of the last request, ISO 8601. */
  readonly first: string;
  readonly last: string;
  /** Event, method, path and plan of the last request. */
  readonly event_id: string;
  readonly method: string;
  readonly path: string;
  readonly plan: string;
}

/** Memory of a query above which its groups are stored on ClickHouse's disk, so that any number of groups can be read. */
const groupBytesMax = 256 * 1024 * 1024;

/**
 * Returns a tenant's requests over a limit, with repeated ones in one row; the rows with the latest request first. The last
 * request of a group is in no other group, so it is a position that two parts of the list order alike. Every part
 * reads all requests of the filter, because a group before the cursor can have its first requests at any time.
 */
export function refusalGroups(
  clickhouse: ClickHouseReader,
  tenantId: string,
  filter: RefusalFilter,
  { offset, cursor = null, countMax }: ListPart,
): Promise<RefusalGroup[]> {
  const { sql, params } = conditionOf(tenantId, filter);
  return clickhouse.query<RefusalGroup>(
    `SELECT route, user_id, limited_by, decision, requests, first, latest.1 AS last, latest.2 AS event_id,
      latest.3 AS method, latest.4 AS path, latest.5 AS plan
    FROM (
      SELECT route, user_id, limited_by, decision, count() AS requests, min(e.time) AS first,
        max((e.time, event_id, method, path, plan)) AS latest
      FROM usage_events AS e WHERE ${sql}
      GROUP BY route, user_id, limited_by, decision
    )
    ${cursor === null ? '' : `WHERE ${beforeCursor('last', 'event_id')}`}
    ORDER BY last DESC, event_id DESC
    LIMIT {countMax:UInt32} OFFSET {offset:UInt32}
    SETTINGS max_bytes_before_external_group_by = ${groupBytesMax}`,
    { ...params, ...cursorParams(cursor), offset, countMax },
  );
}

/** The same for single requests, each as a group of one. */
export function refusalsOneByOne(
  clickhouse: ClickHouseReader,
  tenantId: string,
  filter: RefusalFilter,
  { offset, cursor = null, countMax }: ListPart,
): Promise<RefusalGroup[]> {
  const endMs = Math.min(filter.endMs, cursor === null ? Infinity : cursor.timeMs + 1);
  const { sql, params } = conditionOf(tenantId, { ...filter, endMs });
  return clickhouse.query<RefusalGroup>(
    `SELECT route, user_id, limited_by, decision, 1 AS requests, e.time AS first, e.time AS last, event_id, method, path, plan
    FROM usage_events AS e WHERE ${sql} ${cursor === null ? '' : `AND ${beforeCursor('e.time', 'event_id')}`}
    ORDER BY last DESC, event_id DESC
    LIMIT {countMax:UInt32} OFFSET {offset:UInt32}`,
    { ...params, ...cursorParams(cursor), offset, countMax },
  );
}

function beforeCursor(time: string, id: string): string {
  return `(${time}, ${id}) < (fromUnixTimestamp64Milli({cursorMs:Int64}, 'UTC'), {cursorId:String})`;
}

function cursorParams(cursor: EventCursor | null): Params {
  return cursor === null ? {} : { cursorMs: cursor.timeMs, cursorId: cursor.id };
}

function conditionOf(
  tenantId: string,
  { startMs, endMs, route, user, limit, decision }: RefusalFilter,
): { readonly sql: string; readonly params: Params } {
  const conditions = [
    'tenant_id = {tenant:String}',
    `e.time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')`,
    `e.time < fromUnixTimestamp64Milli({to:Int64}, 'UTC')`,
    overLimit,
    ...(route === undefined ? [] : ['route = {route:String}']),
    ...(user === undefined ? [] : ['user_id = {user:String}']),
    ...(limit === undefined ? [] : ['has(limited_by, {limit:String})']),
    ...(decision === undefined ? [] : ['decision = {decision:String}']),
  ];
  const values = { route, user, limit, decision };
  const params = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
  return { sql: conditions.join(' AND '), params: { tenant: tenantId, from: startMs, to: endMs, ...params } };
}

/** Which requests a counter counted: those of a user, of an address, or all of the tenant. */
export interface CounterQuery {
  readonly route: string | null;
  readonly userId: string | null;
  readonly clientIp: string | null;
  /** The window before a decision; its end is the time of the decision. */
  readonly window: Span;
  /** Units that must leave the window before the decision would pass. */
  readonly needed: (used: number) => number;
}

export interface CounterContent {
  /** Units that the window held. */
  readonly used: number;
  readonly requests: number;
  /** Time of the request with whose units enough units have left the window, ISO 8601; null: none is recorded. */
  readonly frees: string | null;
  /** The oldest requests in the window. */
  readonly calls: readonly CountedCall[];
}

export interface CountedCall {
  readonly event_id: string;
  readonly time: string;
  readonly method: string;
  readonly path: string;
  readonly user_id: string;
  readonly units: number;
}

/** Returns what a counter of a tenant held at a time, from the recorded requests that passed their limits. */
export async function counterContent(
  clickhouse: ClickHouseReader,
  tenantId: string,
  { route, userId, clientIp, window, needed }: CounterQuery,
  callsMax: number,
): Promise<CounterContent> {
  const where = `tenant_id = {tenant:String} AND type = {requestType:String} AND ${passedLimits}
      AND e.time > fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND e.time <= fromUnixTimestamp64Milli({to:Int64}, 'UTC')
      ${route === null ? '' : 'AND route = {route:String}'}
      ${userId === null ? '' : 'AND user_id = {user:String}'}
      ${clientIp === null ? '' : 'AND client_ip = {ip:String}'}`;
  const params = {
    ...{ tenant: tenantId, requestType: requestEventType, from: window.startMs, to: window.endMs },
    ...(route === null ? {} : { route }),
    ...(userId === null ? {} : { user: userId }),
    ...(clientIp === null ? {} : { ip: clientIp }),
  };
  const [[sums], calls] = await Promise.all([
    clickhouse.query<{ used: number; requests: number }>(
      `SELECT sum(units) AS used, count() AS requests FROM usage_events AS e WHERE ${where}`,
      params,
    ),
    clickhouse.query<CountedCall>(
      `SELECT event_id, time, method, path, user_id, units FROM usage_events AS e WHERE ${where}
      ORDER BY time, event_id LIMIT {callsMax:UInt32}`,
      { ...params, callsMax },
    ),
  ]);
  const { used = 0, requests = 0 } = sums ?? {};
  const [freed] = await clickhouse.query<{ frees: string }>(
    `SELECT min(at) AS frees FROM (
      SELECT e.time AS at, sum(units) OVER (ORDER BY e.time ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS left
      FROM usage_events AS e WHERE ${where}
    ) WHERE left >= {needed:Float64} HAVING count() > 0`,
    { ...params, needed: needed(used) },
  );
  return { used, requests, frees: freed?.frees ?? null, calls };
}
