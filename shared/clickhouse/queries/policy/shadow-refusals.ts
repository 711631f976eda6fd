import type { ClickHouseReader } from '../../client.ts';
import type { Span } from '../period-totals.ts';
import { overShadowLimit } from '../predicates.ts';
import { levelRange } from '../usage-levels.ts';

/** Requests that passed, and that this limit would have refused if it were not in shadow mode. */
export interface ShadowRefusals {
  readonly limit_name: string;
  readonly requests: number;
  /** Number of tenants with such requests. */
  readonly tenants: number;
  readonly by_day: readonly { readonly day: string; readonly requests: number }[];
  /** The tenants with the most requests, each with the id of its latest decision. */
  readonly by_tenant: readonly {
    readonly tenant_id: string;
    readonly requests: number;
    readonly decision_id: string;
  }[];
}

export interface ShadowQuery {
  readonly limits: readonly string[];
  readonly sinceMs: number;
  readonly tenantsMax: number;
}

/** Requests of a limit in a day (`tenant_id` is empty) or of a tenant (`day` is empty). */
interface GroupRow {
  readonly limit_name: string;
  readonly day: string;
  readonly tenant_id: string;
  readonly requests: number;
  /** The latest decision of the group. */
  readonly decision_id: string;
  /** Number of groups of the limit of the same kind. */
  readonly groups: number;
}

const hourMs = 3_600_000;
/** Most seconds of the query of events, which shares its connections with backtests and edits of the policy. */
const secondsMax = 20;

/**
 * Returns what each limit in shadow mode would have refused, by UTC day and by tenant. A request over two limits counts for both.
 * Events are sorted by minute before tenant, so only the hours are read for which the totals have requests over a limit in shadow
 * mode: without such requests no event is read.
 */
export async function shadowRefusals(
  clickhouse: ClickHouseReader,
  { limits, sinceMs, tenantsMax }: ShadowQuery,
): Promise<ShadowRefusals[]> {
  if (limits.length === 0) return [];
  const spans = await spansOverLimits(clickhouse, sinceMs);
  const groups =
    spans.length === 0 ? [] : await readGroups(clickhouse, { limits, sinceMs, tenantsMax }, spans);
  return limits.map((name) => {
    const own = groups.filter((row) => row.limit_name === name);
    const byDay = own.filter(({ day }) => day !== '').toSorted((a, b) => (a.day < b.day ? -1 : 1));
    const byTenant = own.filter(({ day }) => day === '');
    return {
      limit_name: name,
      requests: byDay.reduce((sum, { requests }) => sum + requests, 0),
      tenants: byTenant[0]?.groups ?? 0,
      by_day: byDay.map(({ day, requests }) => ({ day, requests })),
      by_tenant: byTenant.map(({ tenant_id, requests, decision_id }) => ({
        tenant_id,
        requests,
        decision_id,
      })),
    };
  });
}

/** The spans of hours with requests over a limit in shadow mode, in order of time. Adjoining hours are one span. */
async function spansOverLimits(clickhouse: ClickHouseReader, sinceMs: number): Promise<readonly Span[]> {
  const hours = await clickhouse.query<{ readonly at_ms: number }>(
    `SELECT DISTINCT toInt64(toUnixTimestamp(hour)) * 1000 AS at_ms FROM usage_by_hour
    WHERE ${overShadowLimit} AND ${levelRange('hour', 'from', null)} ORDER BY at_ms`,
    { from: Math.floor(sinceMs / hourMs) * hourMs },
  );
  const spans: Span[] = [];
  for (const { at_ms: startMs } of hours) {
    const last = spans.at(-1);
    const isAdjoining = last?.endMs === startMs;
    if (isAdjoining) spans.pop();
    spans.push({ startMs: isAdjoining ? last.startMs : startMs, endMs: startMs + hourMs });
  }
  return spans;
}

/** Counts by day and by tenant in one pass over the events of the spans; the tenants with the most requests first. */
async function readGroups(
  clickhouse: ClickHouseReader,
  { limits, sinceMs, tenantsMax }: ShadowQuery,
  spans: readonly Span[],
): Promise<readonly GroupRow[]> {
  const inSpans = spans.map((_, index) => `(${levelRange('event', `from${index}`, `to${index}`)})`);
  const bounds = spans.flatMap(({ startMs, endMs }, index) => [
    [`from${index}`, Math.max(startMs, sinceMs)] as const,
    [`to${index}`, endMs] as const,
  ]);
  return await clickhouse.query<GroupRow>(
    `SELECT limit_name, day, tenant_id, requests, decision_id, groups FROM (
      SELECT *, count() OVER (PARTITION BY limit_name, day != '') AS groups,
        row_number() OVER (PARTITION BY limit_name, day != '' ORDER BY requests DESC, tenant_id) AS place
      FROM (
        SELECT limit_name, day, tenant_id, count() AS requests, argMax(event_id, time) AS decision_id
        FROM (
          SELECT limit_name, toString(toDate(time, 'UTC')) AS day, tenant_id, event_id, time
          FROM usage_events ARRAY JOIN limited_by AS limit_name
          WHERE ${overShadowLimit} AND (${inSpans.join(' OR ')})
            AND tenant_id IN (
              SELECT tenant_id FROM usage_by_hour WHERE ${overShadowLimit} AND ${levelRange('hour', 'fromHour', null)}
            )
            AND limit_name IN {limits:Array(String)}
        )
        GROUP BY GROUPING SETS ((limit_name, day), (limit_name, tenant_id))
      )
    )
    WHERE day != '' OR place <= {tenantsMax:UInt32}
    ORDER BY limit_name, place
    SETTINGS max_execution_time = ${secondsMax}`,
    { limits, tenantsMax, fromHour: spans[0]?.startMs ?? 0, ...Object.fromEntries(bounds) },
  );
}
