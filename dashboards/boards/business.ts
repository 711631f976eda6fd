import type { ClassicDashboard } from './sources.ts';
import { isRequest, refused, served } from '../../shared/clickhouse/queries/predicates.ts';
import { series, stat, table, withSections } from './panels.ts';
import type { Column } from './panels.ts';
import { sqlSeries, sqlTable } from './queries.ts';
import { dashboard, uids } from './sources.ts';
import { financeTables, monthFigures } from './finance.ts';
import { currencyVariable, highestPlan, moneyUnit } from './money.ts';
import { customers, shownUsage, usageBefore } from './usage-ranges.ts';

/**
 * Columns are written with their table (`u.cost`), because ClickHouse would otherwise read an alias of the same name.
 */
const servedCost = `sumIf(u.cost, ${served})`;
const refusedCost = `sumIf(u.cost, ${refused})`;
const inRange = `FROM ${shownUsage} AS u`;

const runbook = 'usage-figures';

const tenantColumn: Omit<Column, 'heading'> = {
  link: {
    title: 'Open the tenant',
    url: `/d/${uids.tenant}?var-tenant=\${__value.text:percentencode}&\${__url_time_range}`,
  },
};
const money: Omit<Column, 'heading'> = { unit: moneyUnit, decimals: 2 };

/**
 * Dashboard on the tenants with the most usage, tenants that outgrow their plans, costs, and the cost that limits
 * save.
 */
export function businessDashboard(): ClassicDashboard {
  const builder = dashboard(
    'business',
    'Tollgate / Business',
    'Heaviest tenants, tenants close to their limits, upsell candidates, cost per tenant, money saved by limiting. From ClickHouse, exact to the minute.',
  )
    .time({ from: 'now-30d', to: 'now' })
    .refresh('5m')
    .withVariable(currencyVariable());
  return withSections(builder, [
    { title: 'This month', runbook, panels: monthFigures() },
    { title: 'Time range', runbook, panels: figures() },
    { title: 'Tenants', runbook, panels: tenantTables() },
    { title: 'Money', runbook, panels: [...moneyPanels(), ...financeTables(tenantColumn)] },
  ]);
}

function figures(): ReturnType<typeof stat>[] {
  return [
    stat({
      title: 'Active tenants',
      ...{ width: 8, badAt: 1, lowIsBad: true },
      description: 'Tenants with at least one event in the time range.',
      queries: [sqlTable(`SELECT uniqExact(tenant_id) AS tenants ${inRange}`)],
      unit: 'short',
    }),
    stat({
      title: 'Requests',
      ...{ width: 8, goodFrom: 1 },
      description: 'Requests of all customers in the time range.',
      queries: [sqlTable(`SELECT sum(u.requests) AS requests ${inRange} WHERE ${isRequest}`)],
      unit: 'short',
    }),
    stat({
      title: 'Cost of served requests',
      ...{ width: 8, goodFrom: 0.01 },
      description: 'Units × price of the route, of all events that were not refused.',
      queries: [sqlTable(`SELECT ${servedCost} AS cost ${inRange}`)],
      unit: moneyUnit,
      decimals: 2,
    }),
    stat({
      title: 'Money saved by limiting',
      ...{ width: 8, goodFrom: 0.01 },
      description: 'The cost that the refused requests would have had.',
      queries: [sqlTable(`SELECT ${refusedCost} AS saved ${inRange}`)],
      unit: moneyUnit,
      decimals: 2,
    }),
    stat({
      title: 'Tenants refused at least once',
      ...{ width: 8, warnAt: 1 },
      description: 'Tenants with at least one 429 in the time range.',
      queries: [sqlTable(`SELECT uniqExactIf(tenant_id, limited > 0) AS tenants ${inRange}`)],
      unit: 'short',
    }),
    stat({
      title: 'Cost per active tenant',
      ...{ width: 8, goodFrom: 0.01 },
      description: 'Mean cost of one active tenant in the time range.',
      queries: [sqlTable(`SELECT ${servedCost} / greatest(uniqExact(tenant_id), 1) AS cost ${inRange}`)],
      unit: moneyUnit,
      decimals: 2,
    }),
  ];
}

function tenantTables(): ReturnType<typeof table>[] {
  return [
    table(
      {
        title: 'Heaviest tenants',
        description:
          'By requests. Growth: compared with the previous time range of the same length; empty for tenants that are new in this one.',
        queries: [
          sqlTable(`
SELECT u.tenant_id AS tenant, argMaxIf(u.plan, u.time, u.plan != '' AND shown) AS plan,
       sumIf(u.requests, shown AND ${isRequest}) AS requests,
       requests / sum(requests) OVER () AS share,
       requests / nullIf(sumIf(u.requests, NOT shown AND ${isRequest}), 0) - 1 AS growth,
       sumIf(u.cost, shown AND ${served}) AS cost
FROM (SELECT *, true AS shown FROM ${shownUsage} UNION ALL SELECT *, false AS shown FROM ${usageBefore}) AS u
GROUP BY tenant HAVING requests > 0 OR cost > 0 ORDER BY requests DESC LIMIT 50`),
        ],
      },
      {
        tenant: { heading: 'Tenant', ...tenantColumn },
        plan: { heading: 'Plan' },
        requests: { heading: 'Requests', unit: 'short' },
        share: { heading: 'Share of all', unit: 'percentunit', bar: true },
        growth: { heading: 'Growth', unit: 'percentunit', decimals: 0 },
        cost: { heading: 'Cost', ...money },
      },
    ),
    table(
      {
        title: 'Close to their limits',
        runbook: 'tenant-over-90',
        empty: 'No tenant was notified about a quota in the last day',
        description:
          'The latest share of each quota with a notification in the last day; quotas with units again are left out. Forecast: time at which the quota is used up at the recent rate.',
        queries: [
          sqlTable(`
SELECT tenant_id AS tenant, limit_name, argMax(a.used, time) / nullIf(argMax(a.limit, time), 0) AS share,
       argMax(a.used, time) AS used, argMax(a.limit, time) AS limit, argMax(a.unit, time) AS unit, argMax(a.exhausted_at, time) AS exhausted_at, max(time) AS noticed
FROM \${database}.alerts AS a
WHERE time >= now() - INTERVAL 1 DAY AND kind IN ('threshold', 'exceeded', 'forecast', 'recovered')
GROUP BY tenant_id, limit_name HAVING argMax(a.kind, time) != 'recovered' ORDER BY share DESC LIMIT 50`),
        ],
      },
      {
        tenant: { heading: 'Tenant', ...tenantColumn },
        limit_name: { heading: 'Limit' },
        share: { heading: 'Used share', unit: 'percentunit', bar: true, warnAt: 0.8, badAt: 0.95 },
        used: { heading: 'Used', unit: 'short' },
        limit: { heading: 'Allowed', unit: 'short' },
        unit: { heading: 'Unit' },
        exhausted_at: { heading: 'Used up at', unit: 'dateTimeAsIso', width: 160 },
        noticed: { heading: 'Notified', unit: 'dateTimeFromNow', width: 110 },
      },
    ),
    ...growthTables(),
  ];
}

function growthTables(): ReturnType<typeof table>[] {
  return [
    table(
      {
        title: 'Upsell candidates',
        empty: 'No tenant below the highest plan was refused often',
        description:
          'Tenants below the plan with the highest price that were refused on at least three of the last 30 days, or in more than 1 % of their requests: their plan has become too small.',
        queries: [
          sqlTable(`
SELECT tenant_id AS tenant, argMaxIf(u.plan, day, u.plan != '') AS plan, uniqExactIf(day, limited > 0) AS days_refused,
       sum(limited) AS refused, sumIf(u.requests, ${isRequest}) AS requests, refused / greatest(requests, 1) AS refused_share,
       ${servedCost} AS cost
FROM \${database}.usage_by_day AS u
WHERE ${customers} AND day >= today() - 30
GROUP BY tenant_id
HAVING plan != ${highestPlan} AND (days_refused >= 3 OR refused_share > 0.01)
ORDER BY days_refused DESC, refused DESC LIMIT 50`),
        ],
      },
      {
        tenant: { heading: 'Tenant', ...tenantColumn },
        plan: { heading: 'Plan' },
        days_refused: { heading: 'Days refused' },
        refused: { heading: 'Refused', unit: 'short' },
        requests: { heading: 'Requests', unit: 'short' },
        refused_share: { heading: 'Refused share', unit: 'percentunit', bar: true, warnAt: 0.01, badAt: 0.1 },
        cost: { heading: 'Cost', ...money },
      },
    ),
    table(
      {
        title: 'Plans',
        description: 'For each plan: active tenants, their usage, and cost per tenant.',
        queries: [
          sqlTable(`
WITH latest AS (SELECT tenant_id, argMaxIf(u.plan, u.time, u.plan != '') AS latest_plan ${inRange} GROUP BY tenant_id)
SELECT if(u.plan = '', latest_plan, u.plan) AS plan, uniqExact(tenant_id) AS tenants, sumIf(u.requests, ${isRequest}) AS requests,
       sum(limited) / greatest(requests, 1) AS refused, ${servedCost} AS cost, cost / tenants AS cost_per_tenant
${inRange} JOIN latest USING (tenant_id)
GROUP BY plan ORDER BY requests DESC`),
        ],
      },
      {
        plan: { heading: 'Plan' },
        tenants: { heading: 'Tenants' },
        requests: { heading: 'Requests', unit: 'short' },
        refused: { heading: 'Refused share', unit: 'percentunit', bar: true, warnAt: 0.01, badAt: 0.1 },
        cost: { heading: 'Cost', ...money },
        cost_per_tenant: { heading: 'Cost per tenant', ...money },
      },
    ),
  ];
}

function moneyPanels(): ReturnType<typeof series>[] {
  return [
    series({
      title: 'Cost per tenant',
      description: 'The ten tenants with the highest cost in the time range; all other tenants together.',
      queries: [
        sqlSeries(`
WITH top AS (SELECT tenant_id ${inRange} GROUP BY tenant_id ORDER BY ${servedCost} DESC LIMIT 10)
SELECT $__timeInterval(u.time) AS time, if(tenant_id IN top, tenant_id, 'all others') AS tenant, ${servedCost} AS cost
${inRange} GROUP BY time, tenant ORDER BY time, tenant`),
      ],
      unit: moneyUnit,
      stacked: true,
    })
      .interval('1h')
      .displayName('${__field.labels.tenant}'),
    series({
      title: 'Served and saved',
      description: 'Cost of served requests, and the cost that refused requests would have had.',
      queries: [
        sqlSeries(`
SELECT $__timeInterval(u.time) AS time, ${servedCost} AS served, ${refusedCost} AS saved
${inRange} GROUP BY time ORDER BY time`),
      ],
      unit: moneyUnit,
      stacked: true,
    }).interval('1h'),
  ];
}
