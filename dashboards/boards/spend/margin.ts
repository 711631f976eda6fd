import { thisMonth } from '../finance.ts';
import { moneyUnit } from '../money.ts';
import { table } from '../panels.ts';
import type { Column, Panels } from '../panels.ts';
import { sqlTable } from '../queries.ts';

const money: Omit<Column, 'heading'> = { unit: moneyUnit, decimals: 2 };
/** Margin of the calendar month (UTC), whatever range the dashboard shows. */
export function marginTables(): Panels {
  return [
    table(
      {
        title: 'Margin by plan, this month',
        description:
          'Prices of the plan for all tenants with usage this month, minus their cost projected to the end of the month (UTC). Plans without a price are left out. Margin by tenant is on Business.',
        queries: [
          sqlTable(`
SELECT plan, count() AS tenants, sum(price) AS prices, sum(cost) AS cost_so_far, sum(projected) AS projected_cost,
       prices - projected_cost AS margin, margin / nullIf(prices, 0) AS share
FROM ${thisMonth} WHERE price IS NOT NULL GROUP BY plan ORDER BY margin, plan`),
        ],
      },
      {
        plan: { heading: 'Plan' },
        tenants: { heading: 'Tenants' },
        prices: { heading: 'Prices', ...money },
        cost_so_far: { heading: 'Cost so far', ...money },
        projected_cost: { heading: 'Projected', ...money },
        margin: { heading: 'Margin', ...money },
        share: { heading: 'Share', unit: 'percentunit', decimals: 0 },
      },
    ),
    table(
      {
        title: 'Spend against the price of the plan, this month',
        empty: 'No call whose usage is measured was served this month',
        description:
          'Spend of each tenant since the first of the month (UTC), and its share of the price of the tenant’s plan. Above 100 %, the tenant costs more than it pays. Highest spend first.',
        queries: [
          sqlTable(`
SELECT tenant_id AS tenant, plan, price, spend, spend / nullIf(price, 0) AS share
FROM ${thisMonth} WHERE spend > 0 ORDER BY spend DESC, tenant LIMIT 50`),
        ],
      },
      {
        tenant: { heading: 'Tenant' },
        plan: { heading: 'Plan' },
        price: { heading: 'Price', ...money },
        spend: { heading: 'Spend', ...money },
        share: { heading: 'Share', unit: 'percentunit', decimals: 0, warnAt: 0.8, badAt: 1 },
      },
    ),
  ];
}
