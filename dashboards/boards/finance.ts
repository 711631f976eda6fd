import { refused, served } from '../../shared/clickhouse/queries/predicates.ts';
import { planPrices } from '../settings.ts';
import { stat, table } from './panels.ts';
import type { Column, Panels } from './panels.ts';
import { sqlTable } from './queries.ts';
import { customers } from './usage-ranges.ts';

export const monthStart = 'toStartOfMonth(today())';
const monthSeconds = `dateDiff('second', toDateTime(${monthStart}, 'UTC'), toDateTime(${monthStart} + INTERVAL 1 MONTH, 'UTC'))`;
/** At least an hour, so that the first minutes of a month are not extrapolated to it. */
const elapsedSeconds = `greatest(dateDiff('second', toDateTime(${monthStart}, 'UTC'), now()), 3600)`;
const servedCost = `toFloat64(sumIf(u.cost, ${served}))`;
const refusedCost = `toFloat64(sumIf(u.cost, ${refused}))`;
/** The plan of the newest day with a plan, in a row for each tenant. */
export const latestPlan = `argMaxIf(u.plan, day, u.plan != '')`;

/** Price of a plan per month; NULL for a plan without one in the settings. */
export const priceOf = (plan: string): string => {
  const quoted = Object.keys(planPrices).map((name) => `'${name}'`);
  const prices = Object.values(planPrices).map((price) => `toNullable(toFloat64(${price}))`);
  return `transform(${plan}, [${quoted.join(', ')}], [${prices.join(', ')}], NULL)`;
};
const highestPlan = Object.entries(planPrices).toSorted(([, a], [, b]) => b - a)[0]?.[0] ?? '';

/** One row for each tenant with usage in this month (UTC). */
export const thisMonth = `(
  SELECT tenant_id, ${latestPlan} AS plan, ${priceOf('plan')} AS price, ${servedCost} AS cost,
         cost * ${monthSeconds} / ${elapsedSeconds} AS projected, ${refusedCost} AS refused_cost, sum(u.limited) AS refused
  FROM \${database}.usage_by_day AS u WHERE ${customers} AND day >= ${monthStart} GROUP BY tenant_id
)`;

const money: Omit<Column, 'heading'> = { unit: 'currencyUSD', decimals: 2 };

/** Figures of the calendar month (UTC), whatever range the dashboard shows. */
export function monthFigures(): Panels {
  const month = 'Calendar month in UTC, whatever range is shown.';
  return [
    stat({
      title: 'Cost this month',
      description: `Units × price of the route of all events since the first of the month that were not refused. ${month}`,
      queries: [sqlTable(`SELECT sum(cost) AS cost FROM ${thisMonth}`)],
      unit: 'currencyUSD',
      ...{ decimals: 2, goodFrom: 0.01, width: 6 },
    }),
    stat({
      title: 'Projected cost of the month',
      description: `Cost this month ÷ the part of the month that has passed: the cost of the month if it goes on like this. ${month}`,
      queries: [sqlTable(`SELECT sum(projected) AS projected FROM ${thisMonth}`)],
      unit: 'currencyUSD',
      ...{ decimals: 2, goodFrom: 0.01, width: 6 },
    }),
    stat({
      title: 'Projected margin of the month',
      description: `Prices of the plans of all tenants with usage this month, minus their projected cost. Prices are in dashboards/settings.ts; tenants of other plans are left out. ${month}`,
      queries: [
        sqlTable(`SELECT sum(price - projected) AS margin FROM ${thisMonth} WHERE price IS NOT NULL`),
      ],
      unit: 'currencyUSD',
      ...{ decimals: 2, badAt: 0, lowIsBad: true, width: 6 },
    }),
    stat({
      title: 'Refused revenue this month',
      description: `Cost that the refused requests of tenants below the plan ${highestPlan} would have had: what a higher plan could have let through. An upper bound, since limits of routes apply to every plan. ${month}`,
      queries: [
        sqlTable(`SELECT sumIf(refused_cost, plan != '${highestPlan}') AS refused_revenue FROM ${thisMonth}`),
      ],
      unit: 'currencyUSD',
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
          'Price of the plan per month minus the projected cost of the tenant (UTC month). Share: margin ÷ price. Lowest margins first; plans without a price in dashboards/settings.ts are left out.',
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
        description: `Refused requests of tenants below the plan ${highestPlan}, and the cost that they would have had: an upper bound of what a higher plan could have let through (UTC month).`,
        queries: [
          sqlTable(`
SELECT tenant_id AS tenant, plan, refused, refused_cost, refused_cost / nullIf(cost, 0) AS relative
FROM ${thisMonth} WHERE plan != '${highestPlan}' AND refused > 0 ORDER BY refused_cost DESC, tenant LIMIT 50`),
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
