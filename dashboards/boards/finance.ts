import { measured, refused, served } from '../../shared/clickhouse/queries/predicates.ts';
import { highestPlan, moneyUnit, plans } from './money.ts';
import { stat, table } from './panels.ts';
import type { Column, Panels } from './panels.ts';
import { sqlTable } from './queries.ts';
import { customers } from './usage-ranges.ts';

const monthStart = 'toStartOfMonth(today())';
const monthSeconds = `dateDiff('second', toDateTime(${monthStart}, 'UTC'), toDateTime(${monthStart} + INTERVAL 1 MONTH, 'UTC'))`;
/** At least an hour, so that the first minutes of a month are not extrapolated to it. */
const elapsedSeconds = `greatest(dateDiff('second', toDateTime(${monthStart}, 'UTC'), now()), 3600)`;
const servedCost = `toFloat64(sumIf(u.cost, ${served}))`;
/** Cost of calls whose usage is measured. */
const measuredCost = `toFloat64(sumIf(u.cost, ${measured} AND ${served}))`;
const refusedCost = `toFloat64(sumIf(u.cost, ${refused}))`;
const latestPlan = `argMaxIf(u.plan, day, u.plan != '')`;

/** One row for each tenant with usage in this month (UTC). `price` is NULL for a plan without one in the policy. */
export const thisMonth = `(
  SELECT used.*, toFloat64(p.price) AS price
  FROM (
    SELECT tenant_id, ${latestPlan} AS plan, ${servedCost} AS cost, ${measuredCost} AS spend,
           cost * ${monthSeconds} / ${elapsedSeconds} AS projected, ${refusedCost} AS refused_cost, sum(u.limited) AS refused
    FROM \${database}.usage_by_day AS u WHERE ${customers} AND day >= ${monthStart} GROUP BY tenant_id
  ) AS used LEFT JOIN ${plans} AS p ON p.plan = used.plan
)`;

const money: Omit<Column, 'heading'> = { unit: moneyUnit, decimals: 2 };

/** Figures of the calendar month (UTC), whatever range the dashboard shows. */
export function monthFigures(): Panels {
  const month = 'Calendar month in UTC, whatever range is shown.';
  return [
    stat({
      title: 'Cost this month',
      description: `Units × price of the route of all events since the first of the month that were not refused. ${month}`,
      queries: [sqlTable(`SELECT sum(cost) AS cost FROM ${thisMonth}`)],
      unit: moneyUnit,
      ...{ decimals: 2, goodFrom: 0.01, width: 6 },
    }),
    stat({
      title: 'Projected cost of the month',
      description: `Cost this month ÷ the part of the month that has passed: the cost of the month if it goes on like this. ${month}`,
      queries: [sqlTable(`SELECT sum(projected) AS projected FROM ${thisMonth}`)],
      unit: moneyUnit,
      ...{ decimals: 2, goodFrom: 0.01, width: 6 },
    }),
    stat({
      title: 'Projected margin this month',
      description: `Prices of the plans of all tenants with usage this month, minus their projected cost. Prices are in the policy; tenants of plans without a price are left out. ${month}`,
      queries: [
        sqlTable(`SELECT sum(price - projected) AS margin FROM ${thisMonth} WHERE price IS NOT NULL`),
      ],
      unit: moneyUnit,
      ...{ decimals: 2, badAt: 0, lowIsBad: true, width: 6 },
    }),
    stat({
      title: 'Refused revenue this month',
      description: `Cost that the refused requests of tenants below the plan with the highest price would have had: what a higher plan could have let through. An upper bound, since limits of routes apply to every plan. ${month}`,
      queries: [
        sqlTable(`SELECT sumIf(refused_cost, plan != ${highestPlan}) AS refused_revenue FROM ${thisMonth}`),
      ],
      unit: moneyUnit,
      ...{ decimals: 2, warnAt: 100, width: 6 },
    }),
  ];
}

export function financeTables(tenant: Omit<Column, 'heading'>): Panels {
  return [
    table(
      {
        title: 'Margin by tenant, this month',
        description:
          'Price of the plan per month minus the projected cost of the tenant (UTC month). Share: margin ÷ price. Lowest margins first; plans without a price in the policy are left out.',
        queries: [
          sqlTable(`
SELECT tenant_id AS tenant, plan, price, cost, projected, price - projected AS margin, margin / nullIf(price, 0) AS share
FROM ${thisMonth} WHERE price IS NOT NULL ORDER BY margin, tenant LIMIT 50`),
        ],
      },
      {
        tenant: { heading: 'Tenant', ...tenant },
        plan: { heading: 'Plan' },
        price: { heading: 'Price', ...money },
        cost: { heading: 'Cost so far', ...money },
        projected: { heading: 'Projected', ...money },
        margin: { heading: 'Margin', ...money },
        share: { heading: 'Share', unit: 'percentunit', decimals: 0 },
      },
    ),
    table(
      {
        title: 'Top movers',
        description:
          'Cost of the complete days of this month, compared with the same number of days of the last month (UTC). Largest changes first.',
        queries: [
          sqlTable(`
SELECT tenant_id AS tenant, toFloat64(sumIf(u.cost, ${served} AND day >= ${monthStart})) AS this_month,
       toFloat64(sumIf(u.cost, ${served} AND day < ${monthStart})) AS last_month,
       this_month - last_month AS change, change / nullIf(last_month, 0) AS relative
FROM \${database}.usage_by_day AS u
WHERE ${customers} AND ((day >= ${monthStart} AND day < today())
  OR (day >= ${monthStart} - INTERVAL 1 MONTH AND day < least(${monthStart}, ${monthStart} - INTERVAL 1 MONTH + INTERVAL (today() - ${monthStart}) DAY)))
GROUP BY tenant HAVING change != 0 ORDER BY abs(change) DESC, tenant LIMIT 50`),
        ],
        empty: 'No change: the month has no complete day yet, or no usage',
      },
      {
        tenant: { heading: 'Tenant', ...tenant },
        this_month: { heading: 'This month', ...money },
        last_month: { heading: 'Last month', ...money },
        change: { heading: 'Change', ...money },
        relative: { heading: 'Relative', unit: 'percentunit', decimals: 0 },
      },
    ),
    table(
      {
        title: 'Refused revenue by tenant, this month',
        description:
          'Refused requests of tenants below the plan with the highest price, and the cost that they would have had: an upper bound of what a higher plan could have let through (UTC month).',
        queries: [
          sqlTable(`
SELECT tenant_id AS tenant, plan, refused, refused_cost, refused_cost / nullIf(cost, 0) AS relative
FROM ${thisMonth} WHERE plan != ${highestPlan} AND refused > 0 ORDER BY refused_cost DESC, tenant LIMIT 50`),
        ],
        empty: 'No request of these tenants was refused this month',
        width: 24,
      },
      {
        tenant: { heading: 'Tenant', ...tenant },
        plan: { heading: 'Plan' },
        refused: { heading: 'Refused requests' },
        refused_cost: { heading: 'Refused revenue', ...money },
        relative: { heading: 'Relative to its cost', unit: 'percentunit', decimals: 0 },
      },
    ),
  ];
}
