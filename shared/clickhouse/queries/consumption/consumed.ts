import type { Consumption } from '../../../domain/usage/consumption.ts';
import type { ClickHouse } from '../../client.ts';
import { consumptionColumns, consumptionSums, withConsumption } from './consumption.ts';
import type { ConsumptionAsText } from './consumption.ts';
import { countedByQuotas } from '../predicates.ts';
import { usageRows } from '../usage-levels.ts';

export interface ConsumedQuery {
  /** Unix milliseconds: usage from this time on is counted. */
  readonly fromMs: number;
  /** Unix milliseconds: usage before this time is counted; absent: all usage until now. */
  readonly toMs?: number;
  /** Null: all tenants. */
  readonly tenantIds: readonly string[] | null;
}

export interface Consumed extends Consumption {
  readonly tenant_id: string;
  readonly route: string;
  /** A plan under which this was consumed. If there were several plans, this is the last one by name. */
  readonly plan: string;
}

/** Reads what quotas count in a span of time, by tenant and route. Rejects when ClickHouse does not answer. */
export async function readConsumed(
  clickhouse: ClickHouse,
  { fromMs, toMs, tenantIds }: ConsumedQuery,
): Promise<Consumed[]> {
  const rows = usageRows([{ startMs: fromMs, endMs: toMs ?? null }], {
    columns: `tenant_id, route, plan, ${consumptionColumns}`,
    where: `${countedByQuotas} ${tenantIds === null ? '' : 'AND tenant_id IN {tenantIds:Array(String)}'}`,
  });
  const consumed = await clickhouse.query<ConsumptionAsText<Consumed>>(
    `SELECT tenant_id, route, max(u.plan) AS plan, ${consumptionSums()}
     FROM (${rows.sql}) AS u GROUP BY tenant_id, route`,
    { ...rows.params, ...(tenantIds === null ? {} : { tenantIds }) },
  );
  return consumed.map((row) => withConsumption<Consumed>(row));
}
