import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { recordPlans } from '../../../shared/clickhouse/queries/spend/plans.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';

/** The prices with which the tests compute margins, and a plan without a price. */
const policyText = `version: 1
links: { documentation: https://docs.example.com/limits, upgrade: https://example.com/pricing }
currency: EUR
default_plan: free
plans:
  free: { price: 0, limits: [] }
  pro: { price: 49, limits: [] }
  enterprise: { price: 499, limits: [] }
  unpriced: { limits: [] }
`;

/** Records the plans as the reconciler does. */
export async function storePricedPlans(clickhouse: ClickHouse): Promise<void> {
  await recordPlans(clickhouse, parsePolicy('policy.yaml', policyText, {}));
}

/** The title of a panel without the currency that follows it. */
export function withoutCurrency(title: string): string {
  return title.replace(', ${currency}', '');
}
