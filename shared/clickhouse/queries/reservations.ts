import type { ExactAmounts } from '../../domain/events/call-usage.ts';
import type { ClickHouseReader } from '../client.ts';
import { amountsText, parseAmounts } from './decimals.ts';
import type { AmountsAsText } from './decimals.ts';

/**
 * Returns by tenant the amounts that settlements since `fromMs` should have returned to Redis: the reserved amounts of
 * settled and cancelled reservations that exceed the actual amounts.
 */
export async function readUnreturned(
  clickhouse: ClickHouseReader,
  { fromMs, tenantIds }: { readonly fromMs: number; readonly tenantIds: readonly string[] },
): Promise<ReadonlyMap<string, ExactAmounts>> {
  const excess = `mapApply((name, amount) -> (name, greatest(amount - quantities[name], toDecimal128(0, 12))), reserved)`;
  const rows = await clickhouse.query<{ tenant_id: string; amounts: AmountsAsText }>(
    `SELECT tenant_id, ${amountsText(`sumMap(${excess})`)} AS amounts FROM usage_events
    WHERE time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND tenant_id IN {tenantIds:Array(String)}
      AND reservation IN ('settled', 'cancelled')
    GROUP BY tenant_id`,
    { from: fromMs, tenantIds: [...new Set(tenantIds)] },
  );
  return new Map(rows.map(({ tenant_id: tenantId, amounts }) => [tenantId, parseAmounts(amounts)]));
}
