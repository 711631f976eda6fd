import { charged } from './charged.ts';
import type { ClickHouseReader, Params } from '../client.ts';
import type { Amount } from '../../domain/amount.ts';
import type { Money } from '../../domain/money.ts';
import { requestEventType } from '../../domain/usage-event.ts';
import { withMoney } from './money-rows.ts';
import type { MoneyAsText } from './money-rows.ts';

/** A span of time: `startMs` belongs to it, `endMs` does not. Unix milliseconds, whole minutes. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/**
 * What one tenant used in a span. requests, allowed, limited, bypassed and errors count requests. units, consumed
 * and cost count events of every type, since an API server's own events may consume too, but nothing that was
 * refused: it used nothing.
 */
export interface TenantTotalsRow {
  readonly tenant_id: string;
  /** Of the newest rows; empty when only events without a plan came in. */
  readonly plan: string;
  readonly requests: number;
  readonly allowed: number;
  readonly limited: number;
  readonly bypassed: number;
  readonly errors: number;
  readonly units: Amount;
  /** Units of events that passed under the limits. */
  readonly consumed: Amount;
  readonly cost: Money;
  /** `consumed` by route. */
  readonly consumed_by_route: Readonly<Record<string, Amount>>;
}

/** Totals of the given tenants; a tenant without events in the span has no row. */
export async function periodTotals(
  clickhouse: ClickHouseReader,
  tenantIds: readonly string[],
  span: Span,
): Promise<Map<string, TenantTotalsRow>> {
  const source = sourceOf(span);
  const totals = new Map<string, TenantTotalsRow>();
  for (const tenants of inChunks(tenantIds)) {
    const rows = await clickhouse.query<MoneyAsText<TenantTotalsRow>>(totalsSql(source.sql), {
      ...source.params,
      tenants,
      requestType: requestEventType,
    });
    for (const row of rows) totals.set(row.tenant_id, withMoney(row));
  }
  return totals;
}

const totalsSql = (source: string): string => `
SELECT
    tenant_id,
    argMax(u.plan, (u.plan != '', at)) AS plan,
    sumIf(u.requests, type = {requestType:String}) AS requests,
    sumIf(u.allowed, type = {requestType:String}) AS allowed,
    sumIf(u.limited, type = {requestType:String}) AS limited,
    sumIf(u.bypassed, type = {requestType:String}) AS bypassed,
    sumIf(u.errors, type = {requestType:String}) AS errors,
    sumIf(u.units, u.decision != 'limited') AS units,
    sumIf(u.units, passed) AS consumed,
    toString(sumIf(u.cost, u.decision != 'limited')) AS cost,
    sumMapIf(map(route, u.units), passed) AS consumed_by_route
FROM (
    SELECT *, ${charged} AS passed FROM (${source})
) AS u
GROUP BY tenant_id`;

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/**
 * Reads each stretch of the span from the coarsest table that has it: whole days of UTC from days, else whole hours
 * from hours and what sticks out at either end (zones with half hours) from minutes.
 */
export function sourceOf({ startMs, endMs }: Span): { sql: string; params: Params } {
  const columns =
    'tenant_id, plan, route, type, decision, requests, allowed, limited, bypassed, errors, units, cost';
  const seconds = { start: startMs / 1000, end: endMs / 1000 };
  if (startMs % dayMs === 0 && endMs % dayMs === 0) {
    return {
      sql: `SELECT ${columns}, toDateTime(day, 'UTC') AS at FROM usage_by_day
            WHERE day >= toDate(toDateTime({start:UInt32}, 'UTC')) AND day < toDate(toDateTime({end:UInt32}, 'UTC'))
              AND tenant_id IN {tenants:Array(String)}`,
      params: seconds,
    };
  }
  const firstHour = Math.ceil(startMs / hourMs) * hourMs;
  const lastHour = Math.max(firstHour, Math.floor(endMs / hourMs) * hourMs);
  return {
    sql: `SELECT ${columns}, hour AS at FROM usage_by_hour
          WHERE hour >= toDateTime({firstHour:UInt32}, 'UTC') AND hour < toDateTime({lastHour:UInt32}, 'UTC')
            AND tenant_id IN {tenants:Array(String)}
          UNION ALL
          SELECT ${columns}, minute AS at FROM usage_by_minute
          WHERE minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
            AND (minute < toDateTime({firstHour:UInt32}, 'UTC') OR minute >= toDateTime({lastHour:UInt32}, 'UTC'))
            AND tenant_id IN {tenants:Array(String)}`,
    params: { ...seconds, firstHour: firstHour / 1000, lastHour: lastHour / 1000 },
  };
}

/** Parameters travel in the URL. ClickHouse takes 1 MiB of it, and 128 KiB of one parameter. */
const chunkBytesMax = 100_000;

/** Cuts a list of ids so that each piece fits into one request as a parameter. */
export function inChunks(ids: readonly string[]): string[][] {
  const chunks: string[][] = [];
  let current: string[] = [];
  let bytes = 0;
  for (const id of ids) {
    const size = encodeURIComponent(id).length + 9;
    if (current.length > 0 && bytes + size > chunkBytesMax) {
      chunks.push(current);
      current = [];
      bytes = 0;
    }
    current.push(id);
    bytes += size;
  }
  if (current.length > 0) chunks.push(current);
  return chunks;
}
