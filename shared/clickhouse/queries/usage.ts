import type { ClickHouseReader, Params } from '../client.ts';
import { parseMoney, withMoney } from './decimals.ts';
import { decisionSpan } from './event-identity.ts';
import type { MoneyAsText } from './decimals.ts';
import { periodTotals } from './period-totals.ts';
import type { Span } from './period-totals.ts';
import { hoursFor, hoursWithEvents } from './portal/event-hours.ts';
import { overLimit, served } from './predicates.ts';
import { levelRange } from './usage-levels.ts';
import type { Amount } from '../../domain/amount.ts';
import type { ExactAmounts } from '../../domain/events/call-usage.ts';
import { heartbeatTenant } from '../../domain/identity.ts';
import { jsonMoney } from '../../domain/money.ts';
import type { Money } from '../../domain/money.ts';
import { requestEventType } from '../../domain/usage-event.ts';

/** Usage of one day; zeros if there are no events. A failed read rejects and never returns zeros. */
export interface TodayTotals {
  readonly requests: number;
  readonly allowed: number;
  readonly limited: number;
  readonly units: Amount;
  readonly cost: Money;
  /** Amounts that quotas count, by quantity. Open reservations are included. */
  readonly quantities: ExactAmounts;
  /** The part of `quantities` that belongs to open reservations. */
  readonly reserved: ExactAmounts;
}

/** Returns the totals of one tenant for a day in the tenant's time zone (`periodAt('day', zone, nowMs)`). */
export async function todayTotals(
  clickhouse: ClickHouseReader,
  tenantId: string,
  day: Span,
): Promise<TodayTotals> {
  const row = (await periodTotals(clickhouse, [tenantId], day)).get(tenantId);
  const { requests = 0, allowed = 0, limited = 0, units = 0, cost = 0n } = row ?? {};
  const { quantities = {}, reserved = {} } = row ?? {};
  return { requests, allowed, limited, units, cost, quantities, reserved };
}

/**
 * Returns the time up to which all events in Kafka are stored and included in all totals, as ISO 8601 in UTC. Returns null before
 * the first event was read. Events that are still in a gateway's spool are not in Kafka and not included; the metric of the
 * spool's age shows how old they are.
 */
export async function completeThrough(clickhouse: ClickHouseReader): Promise<string | null> {
  const rows = await clickhouse.query<{ complete_through: string | null }>(`
    SELECT max(through) AS complete_through
    FROM (
        SELECT topic, toNullable(min(newest)) AS through
        FROM (SELECT topic, kafka_partition, max(complete_through) AS newest FROM pipeline_progress GROUP BY topic, kafka_partition)
        GROUP BY topic
        HAVING through > toDateTime64(0, 3, 'UTC')
    )`);
  return rows[0]?.complete_through ?? null;
}

/** Usage of one minute, hour or day in a series. A series has no points for times without events. */
export interface UsagePoint {
  /** Start of the minute, hour or day, ISO 8601 in UTC. */
  readonly at: string;
  readonly requests: number;
  readonly allowed: number;
  readonly limited: number;
  readonly bypassed: number;
  readonly errors: number;
  readonly units: Amount;
  readonly cost: Money;
}

/**
 * Returns a tenant's usage by minute, hour or day in UTC, oldest first. The span must begin and end at a full minute, hour or
 * day.
 */
export async function usageSeries(
  clickhouse: ClickHouseReader,
  tenantId: string,
  by: 'minute' | 'hour' | 'day',
  span: Span,
): Promise<UsagePoint[]> {
  const rows = await clickhouse.query<MoneyAsText<UsagePoint>>(
    `SELECT
        toDateTime(${by}, 'UTC') AS at,
        sumIf(u.requests, type = {requestType:String}) AS requests,
        sumIf(u.allowed, type = {requestType:String}) AS allowed,
        sumIf(u.limited, type = {requestType:String}) AS limited,
        sumIf(u.bypassed, type = {requestType:String}) AS bypassed,
        sumIf(u.errors, type = {requestType:String}) AS errors,
        sumIf(u.units, ${served}) AS units,
        toString(sumIf(u.cost, ${served})) AS cost
    FROM usage_by_${by} AS u
    WHERE tenant_id = {tenant:String} AND ${levelRange(by, 'from', 'to')}
    GROUP BY at
    ORDER BY at`,
    { tenant: tenantId, requestType: requestEventType, from: span.startMs, to: span.endMs },
  );
  return rows.map((row) => withMoney<UsagePoint>(row));
}

/** A row of the view `usage_events`. */
export interface UsageEventRow {
  readonly event_id: string;
  readonly time: string;
  readonly tenant_id: string;
  readonly user_id: string;
  readonly plan: string;
  readonly source: string;
  readonly type: string;
  readonly method: string;
  readonly route: string;
  readonly path: string;
  readonly status: number;
  readonly decision: string;
  readonly limited_by: readonly string[];
  readonly units: Amount;
  /** A number that `JSON.stringify` writes with all of its digits (see `jsonMoney`). */
  readonly cost: number;
  readonly latency_ms: number;
  readonly check_us: number;
  readonly node: string;
  readonly sequence: number;
  readonly degraded: boolean;
  readonly client_ip: string;
  readonly service: string;
  readonly entrypoint: string;
  /** Id of the API key of the request; empty for requests without one. */
  readonly api_key: string;
  /** Revision of the policy that decided; empty if the event does not state it. */
  readonly policy_revision: string;
  readonly ingested_at: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly kafka_partition: number;
  readonly kafka_offset: number;
}

/**
 * Returns the event of a decision by its id. The id is a UUIDv7, which contains the time, so only two minutes of events are read.
 * Returns null if no event with this id is stored (yet), or if the id is not a UUIDv7.
 */
export async function decisionById(clickhouse: ClickHouseReader, id: string): Promise<UsageEventRow | null> {
  const span = decisionSpan(id);
  if (span === null) return null;
  const rows = await readEvents(
    clickhouse,
    `WHERE time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time <= fromUnixTimestamp64Milli({to:Int64}, 'UTC')
      AND event_id = {id:String} AND type = {requestType:String}
    LIMIT 1`,
    { ...span, requestType: requestEventType },
  );
  return rows[0] ?? null;
}

async function readEvents(
  clickhouse: ClickHouseReader,
  condition: string,
  params: Params,
): Promise<UsageEventRow[]> {
  const rows = await clickhouse.query<Omit<UsageEventRow, 'cost'> & { readonly cost: string }>(
    `SELECT * REPLACE (toString(cost) AS cost) FROM usage_events ${condition}`,
    params,
  );
  return rows.map((row) => ({ ...row, cost: jsonMoney(parseMoney(row.cost)) }));
}

/** A request over a limit, as lists show it. */
export type RecentRefusal = Pick<UsageEventRow, 'event_id' | 'time' | 'method' | 'path' | 'limited_by'>;

/**
 * Returns a tenant's latest requests over a limit since `startMs`, refused or served in shadow mode, newest first. `endMs` is the
 * present: a request of the current or of the previous hour may not be in the totals yet.
 */
export async function recentRefusals(
  clickhouse: ClickHouseReader,
  tenantId: string,
  { startMs, endMs }: Span,
  countMax: number,
): Promise<RecentRefusal[]> {
  const hours = await hoursWithEvents(
    clickhouse,
    tenantId,
    { startMs, endMs: null },
    { condition: overLimit },
  );
  const oldest = hours[hoursFor(hours, 0, countMax) - 1];
  const since = Math.max(startMs, oldest?.hourMs ?? endMs - hourMs);
  return clickhouse.query<RecentRefusal>(
    `SELECT event_id, time, method, path, limited_by FROM usage_events
    WHERE tenant_id = {tenant:String} AND ${levelRange('event', 'since', null)} AND ${overLimit}
    ORDER BY time DESC
    LIMIT {countMax:UInt32}`,
    { tenant: tenantId, since, countMax },
  );
}

const hourMs = 3_600_000;

/** Selects recorded events. Absent fields select all. */
export interface RecentEventsFilter {
  readonly tenantId?: string | undefined;
  /** Only requests over a limit, refused or served in shadow mode. */
  readonly overLimitOnly?: boolean | undefined;
  readonly sinceMs: number;
}

/** Returns the latest events since a time, newest first. Events of Tollgate's own heartbeat are excluded. */
export function recentEvents(
  clickhouse: ClickHouseReader,
  { tenantId, overLimitOnly = false, sinceMs }: RecentEventsFilter,
  countMax: number,
): Promise<UsageEventRow[]> {
  return readEvents(
    clickhouse,
    `WHERE time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND tenant_id != {heartbeat:String}
      ${tenantId === undefined ? '' : 'AND tenant_id = {tenant:String}'}
      ${overLimitOnly ? `AND ${overLimit}` : ''}
    ORDER BY time DESC, event_id
    LIMIT {countMax:UInt32}`,
    {
      ...{ since: sinceMs, countMax, heartbeat: heartbeatTenant },
      ...(tenantId === undefined ? {} : { tenant: tenantId }),
    },
  );
}
