import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { passedLimits } from '../../shared/clickhouse/queries/predicates.ts';
import { requestEventType } from '../../shared/domain/usage-event.ts';

/** Tenants whose requests passed without Redis and whose callers are not compared yet. Bounded. */
export interface DegradedTenants {
  note(tenantId: string, sinceMs: number): void;
  /** Everything noted until now; null: nothing. `tenantIds` absent: too many to name. */
  take(): DegradedSpan | null;
}

export interface DegradedSpan {
  readonly sinceMs: number;
  readonly tenantIds?: ReadonlySet<string>;
}

const tenantsMaxDefault = 1_000;

export function createDegradedTenants(tenantsMax = tenantsMaxDefault): DegradedTenants {
  let tenantIds = new Set<string>();
  let sinceMs = Infinity;
  return {
    note(tenantId, atMs) {
      sinceMs = Math.min(sinceMs, atMs);
      // One more than can be named says that there are too many.
      if (tenantIds.size <= tenantsMax) tenantIds.add(tenantId);
    },
    take() {
      if (tenantIds.size === 0) return null;
      const taken = tenantIds.size > tenantsMax ? { sinceMs } : { sinceMs, tenantIds };
      [tenantIds, sinceMs] = [new Set(), Infinity];
      return taken;
    },
  };
}

/** Tenants with requests that passed without Redis, and the first of each: what a reconciler that died may have left. */
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
