import type { ClassicDashboard } from './sources.ts';
import {
  QueryVariableBuilder,
  VariableHide,
  VariableRefresh,
} from '@grafana/grafana-foundation-sdk/dashboard';
import {
  isRequest,
  overShadowLimit,
  passedLimits,
  served,
} from '../../shared/clickhouse/queries/predicates.ts';
import { currencyVariable, moneyUnit } from './money.ts';
import { series, stat, withSections } from './panels.ts';
import { costPanels, ofTenant, refusalPanels, routePanels } from './tenant-tables.ts';
import { promql, sqlSeries, sqlTable } from './queries.ts';
import { clickhouse, dashboard } from './sources.ts';
import { isComplete } from './usage-ranges.ts';
import { heartbeatTenant } from '../../shared/domain/identity.ts';

/** Units of requests that passed the limits, minus refunds. */
const consumed = `sumIf(units, ${passedLimits})`;

/** Dashboard on one tenant: its usage and limits, refused requests with the reasons, and its cost. */
export function tenantDashboard(): ClassicDashboard {
  const builder = dashboard(
    'tenant',
    'Tollgate / Tenant',
    'One tenant: usage against limits, routes, refused requests, cost. Days are UTC. Usage is from ClickHouse, plan limits are from the running policy.',
  )
    .time({ from: 'now-3h', to: 'now' })
    .refresh('30s')
    .withVariable(currencyVariable())
    .withVariable(
      new QueryVariableBuilder('tenant')
        .label('Tenant')
        .description('Tenants of the last 31 days, busiest first.')
        .datasource(clickhouse)
        .query(
          `SELECT tenant_id FROM \${database}.usage_by_day WHERE day >= today() - 31 AND tenant_id != '${heartbeatTenant}' GROUP BY tenant_id ORDER BY sum(requests) DESC LIMIT 1000`,
        )
        .refresh(VariableRefresh.OnTimeRangeChanged),
    )
    .withVariable(
      new QueryVariableBuilder('plan')
        .description('The plan of the tenant’s latest request.')
        .hide(VariableHide.HideVariable)
        .datasource(clickhouse)
        .query(
          `SELECT argMaxIf(plan, minute, plan != '') FROM \${database}.usage_by_minute WHERE ${ofTenant} AND minute >= now() - INTERVAL 31 DAY`,
        )
        .refresh(VariableRefresh.OnTimeRangeChanged),
    );
  return withSections(builder, [
    { title: 'Today', runbook: 'usage-figures', panels: todayPanels() },
    { title: 'Usage against limits', runbook: 'tenant-over-90', panels: usagePanels() },
    { title: 'Refusals', runbook: 'rejection-spike', panels: refusalPanels() },
    { title: 'Routes and users', runbook: 'usage-figures', panels: routePanels() },
    { title: 'Cost and notifications', runbook: 'usage-figures', panels: costPanels() },
  ]);
}

function todayPanels(): ReturnType<typeof stat>[] {
  const today = `FROM \${database}.usage_by_day WHERE ${ofTenant} AND day = today()`;
  return [
    stat({
      title: 'Plan',
      goodFrom: 0,
      empty: 'none in 31 days',
      description: 'The plan that applied to this tenant’s latest request.',
      queries: [
        sqlTable(
          `SELECT argMaxIf(plan, minute, plan != '') AS plan FROM \${database}.usage_by_minute WHERE ${ofTenant} AND minute >= now() - INTERVAL 31 DAY`,
        ),
      ],
      unit: 'string',
      text: true,
    }),
    stat({
      title: 'Requests today',
      goodFrom: 1,
      description: 'Requests since midnight UTC, refused ones included.',
      queries: [sqlTable(`SELECT sum(requests) AS requests ${today} AND ${isRequest}`)],
      unit: 'short',
    }),
    stat({
      title: 'Units consumed today',
      goodFrom: 1,
      description: 'Units of requests that passed the limits: what a day quota counts.',
      queries: [sqlTable(`SELECT ${consumed} AS units ${today}`)],
      unit: 'short',
    }),
    stat({
      title: 'Refused today',
      description: 'Share of today’s requests with response 429. Customers notice it above 1 %.',
      queries: [
        sqlTable(`SELECT sum(limited) / greatest(sum(requests), 1) AS refused ${today} AND ${isRequest}`),
      ],
      unit: 'percentunit',
      warnAt: 0.01,
      badAt: 0.1,
    }),
    stat({
      title: 'Cost today',
      goodFrom: 0.0001,
      description: 'Units × price of today’s served requests.',
      queries: [sqlTable(`SELECT sumIf(cost, ${served}) AS cost ${today}`)],
      unit: moneyUnit,
      decimals: 4,
    }),
    stat({
      title: 'Latest event',
      warnAt: 3600,
      runbook: 'freshness',
      description:
        'Age of the newest event of this tenant. If it is old, the tenant is idle or the pipeline is behind.',
      queries: [
        sqlTable(
          `SELECT if(count() = 0, NULL, dateDiff('second', max(time), now64(3))) AS age FROM \${database}.usage_events WHERE ${ofTenant} AND time >= now() - INTERVAL 1 DAY`,
        ),
      ],
      unit: 's',
      empty: 'none today',
    }),
  ];
}

/**
 * The value of a series, or no value if the series is 0 in the whole time range. In a stacked graph, a series of
 * zeros would draw its line over the other series.
 */
function hiddenIfZero(column: string): string {
  return `if(max(${column}) OVER () = 0, NULL, ${column}) AS ${column}`;
}

function usagePanels(): ReturnType<typeof series>[] {
  return [
    series({
      title: 'Requests per minute by decision',
      description:
        'Requests per minute of each complete interval. Red: refused. Orange: over a limit in shadow mode, served.',
      queries: [
        sqlSeries(`
SELECT time, allowed, ${hiddenIfZero('limited')}, ${hiddenIfZero('bypassed')}, ${hiddenIfZero('shadow_limited')}
FROM (SELECT $__timeInterval(minute) AS time,
             (sum(u.allowed) - sumIf(requests, ${overShadowLimit})) * 60 / $__interval_s AS allowed,
             sum(u.limited) * 60 / $__interval_s AS limited,
             sum(u.bypassed) * 60 / $__interval_s AS bypassed,
             sumIf(requests, ${overShadowLimit}) * 60 / $__interval_s AS shadow_limited
      FROM \${database}.usage_by_minute AS u
      WHERE ${ofTenant} AND ${isRequest} AND $__timeFilter(minute) AND ${isComplete('$__timeInterval(minute)')}
      GROUP BY time ORDER BY time WITH FILL STEP $__interval_s)
ORDER BY time`),
      ],
      unit: 'reqpm',
      stacked: true,
    }).interval('1m'),
    series({
      title: 'Units per minute against the plan’s minute limits',
      description:
        'Units consumed in each calendar minute, the highest of each interval, and the minute limits of the plan. Overrides of the tenant are in “Own limits”.',
      queries: [
        sqlSeries(`
SELECT $__timeInterval(minute) AS time, max(units) AS units
FROM (SELECT minute, ${consumed} AS units FROM \${database}.usage_by_minute
      WHERE ${ofTenant} AND $__timeFilter(minute) GROUP BY minute)
WHERE ${isComplete('$__timeInterval(minute)')}
GROUP BY time ORDER BY time WITH FILL STEP $__interval_s`),
        promql(
          'max by (limit) (tollgate_policy_limit_units{plan="$plan",route="",type="sliding",window_seconds="60"})',
          'limit {{limit}}',
        ),
      ],
      unit: 'short',
    }).interval('1m'),
    series({
      title: 'Units of the day against the plan’s day quota',
      description:
        'Units consumed since midnight UTC, also before the shown range, and the plan’s day quota.',
      queries: [
        sqlSeries(`
SELECT time, units
FROM (SELECT time, sum(consumed) OVER (PARTITION BY toDate(time, 'UTC') ORDER BY time) AS units
      FROM (SELECT $__timeInterval(minute) AS time, ${consumed} AS consumed FROM \${database}.usage_by_minute
            WHERE ${ofTenant} AND minute >= toStartOfDay($__fromTime, 'UTC') AND minute <= $__toTime GROUP BY time))
WHERE time >= $__fromTime ORDER BY time`),
        promql(
          'max by (limit) (tollgate_policy_limit_units{plan="$plan",route="",type="quota",window_seconds="86400"})',
          'quota {{limit}}',
        ),
      ],
      unit: 'short',
    }).interval('1m'),
    series({
      title: 'Latency',
      description: 'Time from request to response at the gateway, upstream included.',
      queries: [
        sqlSeries(`
SELECT time, q[1] AS p50, q[2] AS p95, q[3] AS p99
FROM (SELECT $__timeInterval(minute) AS time, quantilesTDigestMerge(0.5, 0.95, 0.99)(latency_state) AS q
      FROM \${database}.usage_by_minute_states
      WHERE ${ofTenant} AND ${isRequest} AND $__timeFilter(minute) GROUP BY time)
ORDER BY time`),
      ],
      unit: 'ms',
    }).interval('1m'),
  ];
}
