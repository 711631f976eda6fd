import type { Amount } from '../../domain/amount.ts';
import type { ClickHouse } from '../client.ts';
import { countedByQuotas } from './predicates.ts';
import { usageRows } from './usage-levels.ts';

export interface ConsumedQuery {
  /** Unix milliseconds: units from this time on are counted. */
  readonly fromMs: number;
  /** Null: all tenants. */
  readonly tenantIds: readonly string[] | null;
}

export interface Consumed {
  readonly tenant_id: string;
  readonly route: string;
  readonly units: Amount;
  /** A plan under which the units were consumed. If there were several plans, this is the last one by name. */
  readonly plan: string;
}

/** Reads the units that quotas count from `fromMs` until now, by tenant and route. Rejects when ClickHouse does not answer. */
export async function readConsumed(
  clickhouse: ClickHouse,
  { fromMs, tenantIds }: ConsumedQuery,
): Promise<Consumed[]> {
  const rows = usageRows(
    { startMs: fromMs, endMs: null },
    {
      columns: 'tenant_id, route, units, plan',
      where: `${countedByQuotas} ${tenantIds === null ? '' : 'AND tenant_id IN {tenantIds:Array(String)}'}`,
    },
  );
  return clickhouse.query<Consumed>(
    `SELECT tenant_id, route, sum(units) AS units, max(plan) AS plan
     FROM (${rows.sql}) GROUP BY tenant_id, route`,
    { ...rows.params, ...(tenantIds === null ? {} : { tenantIds }) },
  );
}
