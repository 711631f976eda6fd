import type { ClickHouseReader } from '../../client.ts';
import { overShadowLimit } from '../predicates.ts';

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

interface DayRow {
  readonly limit_name: string;
  readonly day: string;
  readonly requests: number;
}

interface TenantRow {
  readonly limit_name: string;
  readonly tenant_id: string;
  readonly requests: number;
  readonly decision_id: string;
  readonly tenants: number;
}

const condition = `${overShadowLimit} AND e.time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
  AND limit_name IN ({limits:Array(String)})`;

/** Returns what each limit in shadow mode would have refused, by UTC day and by tenant. A request over two limits counts for both. */
export async function shadowRefusals(
  clickhouse: ClickHouseReader,
  { limits, sinceMs, tenantsMax }: ShadowQuery,
): Promise<ShadowRefusals[]> {
  if (limits.length === 0) return [];
  const params = { limits, since: sinceMs, tenantsMax };
  const [days, tenants] = await Promise.all([
    clickhouse.query<DayRow>(
      `SELECT limit_name, toString(toDate(e.time, 'UTC')) AS day, count() AS requests
      FROM usage_events AS e ARRAY JOIN limited_by AS limit_name WHERE ${condition}
      GROUP BY limit_name, day ORDER BY limit_name, day`,
      params,
    ),
    clickhouse.query<TenantRow>(
      `SELECT limit_name, tenant_id, count() AS requests, argMax(event_id, e.time) AS decision_id,
        count() OVER (PARTITION BY limit_name) AS tenants
      FROM usage_events AS e ARRAY JOIN limited_by AS limit_name WHERE ${condition}
      GROUP BY limit_name, tenant_id ORDER BY limit_name, requests DESC, tenant_id
      LIMIT {tenantsMax:UInt32} BY limit_name`,
      params,
    ),
  ]);
  return limits.map((name) => {
    const byDay = days.filter((row) => row.limit_name === name);
    const byTenant = tenants.filter((row) => row.limit_name === name);
    return {
      limit_name: name,
      requests: byDay.reduce((sum, { requests }) => sum + requests, 0),
      tenants: byTenant[0]?.tenants ?? 0,
      by_day: byDay.map(({ day, requests }) => ({ day, requests })),
      by_tenant: byTenant.map(({ tenant_id, requests, decision_id }) => ({
        tenant_id,
        requests,
        decision_id,
      })),
    };
  });
}
