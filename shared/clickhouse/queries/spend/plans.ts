import { moneyText } from '../../../domain/money.ts';
import type { Policy } from '../../../domain/policy.ts';
import type { ClickHouse } from '../../client.ts';

/** Records the plans of the running policy with their prices. They replace the plans that were recorded before. */
export async function recordPlans(
  clickhouse: Pick<ClickHouse, 'command'>,
  { plans, currency, revision }: Pick<Policy, 'plans' | 'currency' | 'revision'>,
): Promise<void> {
  const all = [...plans.values()];
  await clickhouse.command(
    `INSERT INTO stored_plans (plan, price, currency, policy_revision, written_at)
    SELECT recorded.1, toDecimal128OrNull(recorded.2, 12), {currency:String}, {revision:String}, now64(3)
    FROM (SELECT arrayJoin(arrayZip({names:Array(String)}, {prices:Array(String)})) AS recorded)`,
    {
      names: all.map(({ name }) => name),
      // An empty text becomes NULL.
      prices: all.map(({ price }) => (price === null ? '' : moneyText(price))),
      ...{ currency: currency ?? '', revision },
    },
  );
}
