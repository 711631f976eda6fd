import type { Amount } from '../../domain/amount.ts';
import type { ClickHouse } from '../client.ts';
import { countedByQuotas } from './predicates.ts';
import { usageRows } from './usage-levels.ts';

export interface ConsumedQuery {
  /** Unix milliseconds; the first instant counted. */
  readonly fromMs: number;
  /** Null: all tenants. */
  readonly tenantIds: readonly string[] | null;
}

export interface Consumed {
  readonly tenant_id: string;
  readonly route: string;
  readonly units: Amount;
  /** A plan under which the units were consumed; the last by name where there were several. */
  readonly plan: string;
}

/** Units counted by quotas from `fromMs` until now, by tenant and route. Rejects when ClickHouse does not answer. */
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
