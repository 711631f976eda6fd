import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { passedLimits } from '../../../shared/clickhouse/queries/predicates.ts';
import { requestEventType } from '../../../shared/domain/usage-event.ts';

/** Tenants whose requests passed without Redis and whose users and addresses are not compared with ClickHouse yet. Bounded. */
export interface DegradedTenants {
  add(tenantId: string, sinceMs: number): void;
  /** Removes and returns all added tenants; returns null when there is none. */
  drain(): DegradedSpan | null;
}

export interface DegradedSpan {
  readonly sinceMs: number;
  /** Absent if more tenants were added than can be kept: all tenants must then be compared. */
  readonly tenantIds?: ReadonlySet<string>;
}

const tenantsMaxDefault = 1_000;

export function createDegradedTenants(tenantsMax = tenantsMaxDefault): DegradedTenants {
  let tenantIds = new Set<string>();
  let sinceMs = Infinity;
  return {
    add(tenantId, atMs) {
      sinceMs = Math.min(sinceMs, atMs);
      // The set may hold one tenant above the maximum: its size then shows that there are too many.
      if (tenantIds.size <= tenantsMax) tenantIds.add(tenantId);
    },
    drain() {
      if (tenantIds.size === 0) return null;
      const span = tenantIds.size > tenantsMax ? { sinceMs } : { sinceMs, tenantIds };
      [tenantIds, sinceMs] = [new Set(), Infinity];
      return span;
    },
  };
}

/**
 * Reads the tenants with requests that passed without Redis since `fromMs`, with the time of the first of these
 * requests. Used at the start of the reconciler: the previous process may have died without comparing these tenants.
 */
export async function readDegradedTenants(
  clickhouse: ClickHouse,
  fromMs: number,
): Promise<{ readonly tenant_id: string; readonly since_ms: number }[]> {
  return clickhouse.query(
    `SELECT tenant_id, toUnixTimestamp64Milli(min(u.time)) AS since_ms
     FROM usage_events AS u
     WHERE u.time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND degraded AND type = {type:String}
       AND ${passedLimits}
     GROUP BY tenant_id
     LIMIT 10000`,
    { from: fromMs, type: requestEventType },
  );
}
