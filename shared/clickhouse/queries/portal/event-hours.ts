import type { ClickHouseReader, Params } from '../../client.ts';
import { levelRange } from '../usage-levels.ts';
import type { OpenSpan } from '../usage-levels.ts';

export interface CountedHour {
  readonly hourMs: number;
  readonly events: number;
}

const hourMs = 3_600_000;

/**
 * Returns the hours of a span that have events of the tenant, newest first, from the totals. Events are sorted by minute before
 * tenant, so a query over a long span would read the events of all tenants: a list of the newest events reads only the hours that it
 * needs. `condition` is SQL on columns of the totals.
 */
export async function hoursWithEvents(
  clickhouse: ClickHouseReader,
  tenantId: string,
  { startMs, endMs }: OpenSpan,
  { condition, params = {} }: { readonly condition: string; readonly params?: Params },
): Promise<readonly CountedHour[]> {
  const from = Math.floor(startMs / hourMs) * hourMs;
  const to = endMs === null ? null : Math.ceil(endMs / hourMs) * hourMs;
  return await clickhouse.query<CountedHour>(
    `SELECT toUnixTimestamp(hour) * 1000 AS hourMs, sum(requests) AS events
    FROM usage_by_hour AS u
    WHERE tenant_id = {tenant:String} AND ${levelRange('hour', 'from', to === null ? null : 'to')} AND ${condition}
    GROUP BY hour ORDER BY hour DESC`,
    { ...params, tenant: tenantId, from, ...(to === null ? {} : { to }) },
  );
}

/** Index after the hours that together have at least `wanted` events. */
export function hoursFor(hours: readonly CountedHour[], from: number, wanted: number): number {
  let sum = 0;
  let index = from;
  while (index < hours.length && sum < wanted) {
    sum += hours[index]?.events ?? 0;
    index += 1;
  }
  return index;
}
