import { isRequest, refused, served } from '../../shared/clickhouse/queries/predicates.ts';
import { moneyUnit } from './money.ts';
import { series, table } from './panels.ts';
import type { Panels } from './panels.ts';
import { sqlSeries, sqlTable } from './queries.ts';

/** SQL condition for the tenant that the dashboard's variable selects. */
export const ofTenant = `tenant_id = \${tenant:singlequote}`;

export function refusalPanels(): Panels {
  const inRange = `WHERE ${ofTenant} AND $__timeFilter(time)`;
  return [
    table(
      {
        title: 'Why: by limit and route',
        empty: 'No request was refused in this time range',
        width: 24,
        description: 'Exceeded limits by route. A request can exceed several limits.',
        queries: [
          sqlTable(`
SELECT arrayJoin(limited_by) AS limit, route, count() AS refused, uniqExact(user_id) AS users, max(time) AS latest
FROM \${database}.usage_events ${inRange} AND ${refused}
GROUP BY limit, route ORDER BY refused DESC LIMIT 50`),
        ],
      },
      {
        limit: { heading: 'Limit' },
        route: { heading: 'Route', width: 200 },
        refused: { heading: 'Refused', unit: 'short' },
        users: { heading: 'Users' },
        latest: { heading: 'Latest', unit: 'dateTimeAsIso', width: 160 },
      },
    ),
    table(
      {
        title: 'Latest refusals',
        empty: 'No request was refused in this time range',
        width: 24,
        description:
          'Refused requests with the decision id that the caller received; GET /v1/decisions/{id} explains it.',
        queries: [
          sqlTable(`
SELECT time, method, path, arrayStringConcat(limited_by, ', ') AS limits, user_id, client_ip, event_id AS decision_id
FROM \${database}.usage_events ${inRange} AND ${refused}
ORDER BY time DESC LIMIT 100`),
        ],
      },
      {
        time: { heading: 'Time', unit: 'dateTimeAsIso', width: 170 },
        method: { heading: 'Method', width: 80 },
        path: { heading: 'Path', width: 200 },
        limits: { heading: 'Limits', width: 120 },
        user_id: { heading: 'User', width: 120 },
        client_ip: { heading: 'Address', width: 120 },
        decision_id: { heading: 'Decision', width: 280 },
      },
    ),
  ];
}

export function routePanels(): Panels {
  return [
    table(
      {
        title: 'Routes',
        description: 'Requests by route: share refused, share failed, units, cost, and p99 latency.',
        width: 14,
        queries: [
          sqlTable(`
SELECT route, sum(u.requests) AS requests, sum(limited) / sum(u.requests) AS refused, sum(errors) / sum(u.requests) AS failed,
       sumIf(u.units, ${served}) AS units, sumIf(u.cost, ${served}) AS cost,
       quantilesTDigestMerge(0.5, 0.95, 0.99)(latency_state)[3] AS p99
FROM \${database}.usage_by_minute_states AS u
WHERE ${ofTenant} AND ${isRequest} AND $__timeFilter(minute)
GROUP BY route ORDER BY requests DESC LIMIT 50`),
        ],
      },
      {
        route: { heading: 'Route', width: 180 },
        requests: { heading: 'Requests', unit: 'short' },
        refused: { heading: 'Refused', unit: 'percentunit', bar: true, warnAt: 0.01, badAt: 0.1 },
        failed: { heading: 'Failed', unit: 'percentunit', bar: true, warnAt: 0.01, badAt: 0.05 },
        units: { heading: 'Units', unit: 'short' },
        cost: { heading: 'Cost', unit: moneyUnit, decimals: 4 },
        p99: { heading: 'p99', unit: 'ms' },
      },
    ),
    table(
      {
        title: 'Users',
        description: 'The tenant’s busiest users, and the share of their requests that was refused.',
        width: 10,
        queries: [
          sqlTable(`
SELECT if(user_id = '', '(none)', user_id) AS user, count() AS requests, countIf(${refused}) / count() AS refused,
       sumIf(cost, ${served}) AS cost
FROM \${database}.usage_events
WHERE ${ofTenant} AND ${isRequest} AND $__timeFilter(time)
GROUP BY user ORDER BY requests DESC LIMIT 50`),
        ],
      },
      {
        user: { heading: 'User', width: 160 },
        requests: { heading: 'Requests', unit: 'short' },
        refused: { heading: 'Refused', unit: 'percentunit', bar: true, warnAt: 0.01, badAt: 0.1 },
        cost: { heading: 'Cost', unit: moneyUnit, decimals: 4 },
      },
    ),
  ];
}

export function costPanels(): Panels {
  return [
    series({
      title: 'Cost per day',
      description:
        'Cost of served requests, and the cost that refused requests would have had, by day, over 30 days.',
      width: 24,
      queries: [
        sqlSeries(`
SELECT toDateTime(day, 'UTC') AS time, sumIf(cost, ${served}) AS served, sumIf(cost, ${refused}) AS refused
FROM \${database}.usage_by_day
WHERE ${ofTenant} AND day >= today() - 30
GROUP BY time ORDER BY time`),
      ],
      unit: moneyUnit,
      stacked: true,
    }).timeFrom('30d'),
    table(
      {
        title: 'Own limits',
        empty: 'No record: the limits of the plan apply',
        description:
          'The tenant’s record: overrides by limit name, boosts, block. Empty: the plan’s limits apply.',
        width: 24,
        queries: [
          sqlTable(`
SELECT plan, toString(overrides) AS overrides, boosts, blocked, blocked_until, updated_at, updated_by
FROM \${database}.tenants WHERE ${ofTenant}`),
        ],
      },
      {
        plan: { heading: 'Plan' },
        overrides: { heading: 'Overrides', width: 160 },
        boosts: { heading: 'Boosts', width: 120 },
        blocked: { heading: 'Blocked' },
        blocked_until: { heading: 'Blocked until', unit: 'dateTimeAsIso', width: 150 },
        updated_at: { heading: 'Changed at', unit: 'dateTimeAsIso', width: 150 },
        updated_by: { heading: 'Changed by', width: 100 },
      },
    ),
    table(
      {
        title: 'Notifications',
        runbook: 'deliveries-failing',
        empty: 'No notification in this time range',
        description: 'Notifications to the tenant and the state of their delivery.',
        width: 24,
        queries: [
          sqlTable(`
SELECT time, kind, limit_name, threshold, used, limit, unit, channel, status, attempts, error
FROM \${database}.alerts WHERE ${ofTenant} AND $__timeFilter(time)
ORDER BY time DESC LIMIT 100`),
        ],
      },
      {
        time: { heading: 'Time', unit: 'dateTimeAsIso', width: 160 },
        kind: { heading: 'Kind', width: 90 },
        limit_name: { heading: 'Limit', width: 90 },
        threshold: { heading: 'Threshold', unit: 'percentunit' },
        used: { heading: 'Used', unit: 'short' },
        limit: { heading: 'Allowed', unit: 'short' },
        unit: { heading: 'Unit', width: 70 },
        channel: { heading: 'Channel', width: 80 },
        status: { heading: 'Status', width: 90 },
        attempts: { heading: 'Attempts' },
        error: { heading: 'Error', width: 260 },
      },
    ),
  ];
}
