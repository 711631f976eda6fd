import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { passedLimits } from '../../../shared/clickhouse/queries/predicates.ts';
import { requestEventType } from '../../../shared/domain/usage-event.ts';

/** Tenants with requests that passed without Redis and callers that are not compared yet. Bounded. */
export interface DegradedTenants {
  add(tenantId: string, sinceMs: number): void;
  /** Removes and returns all tenants added so far; null without any. */
  drain(): DegradedSpan | null;
}

export interface DegradedSpan {
  readonly sinceMs: number;
  /** Absent: there are too many tenants to keep, so all tenants are meant. */
  readonly tenantIds?: ReadonlySet<string>;
}

const tenantsMaxDefault = 1_000;

export function createDegradedTenants(tenantsMax = tenantsMaxDefault): DegradedTenants {
  let tenantIds = new Set<string>();
  let sinceMs = Infinity;
  return {
    add(tenantId, atMs) {
      sinceMs = Math.min(sinceMs, atMs);
      // One more than the maximum marks that there are too many.
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

/** Tenants with requests that passed without Redis, and when each did first: a reconciler that died may not have compared them. */
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
