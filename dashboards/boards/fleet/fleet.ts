import type { ClassicDashboard } from '../sources.ts';
import { withChanges } from '../annotations.ts';
import { clockPanels } from './clocks.ts';
import { affectedFigures, courseOfIncident } from './now.ts';
import { objectivePanels } from './objectives.ts';
import { backendPanels, processPanels } from './services.ts';
import { credentialPanels } from './credentials.ts';
import { redisPanels, redisServerPanels } from './redis.ts';
import { QueryVariableBuilder, VariableRefresh } from '@grafana/grafana-foundation-sdk/dashboard';
import { rate, series, withSections } from '../panels.ts';
import type { Panels } from '../panels.ts';
import { promql, quantile } from '../queries.ts';
import { dashboard, prometheus } from '../sources.ts';

const node = 'instance=~"$node"';
const byRedis = `decided_by="redis",${node}`;
const byNode = `decided_by="node",${node}`;

/**
 * Health of the gateways: whether Redis decides requests in time, and whether totals are up to date. On-call opens
 * this dashboard first.
 */
export function fleetDashboard(): ClassicDashboard {
  const builder = dashboard(
    'fleet',
    'Tollgate / Fleet',
    'Health of all gateways: checks, refused requests, latency of decisions, degraded nodes, lag and freshness.',
  )
    .time({ from: 'now-1h', to: 'now' })
    .refresh('10s')
    .withVariable(
      new QueryVariableBuilder('node')
        .label('Gateway')
        .description('Gateways by address; all of them together by default.')
        .datasource(prometheus)
        .query({ qryType: 1, query: 'label_values(tollgate_nodes_live, instance)', refId: 'node' })
        .refresh(VariableRefresh.OnTimeRangeChanged)
        .multi(true)
        .includeAll(true)
        .allValue('.*')
        .current({ text: 'All', value: '$__all', selected: true }),
    );
  return withSections(withChanges(builder), [
    { title: 'Are users affected?', runbook: 'redis-failing', panels: affectedFigures(node) },
    { title: 'Since when, where, and what changed', runbook: 'error-budget', panels: courseOfIncident(node) },
    { title: 'Objectives', runbook: 'error-budget', panels: objectivePanels() },
    { title: 'Decisions', runbook: 'rejection-spike', panels: decisions() },
    { title: 'Latency', runbook: 'check-slow', panels: latency() },
    {
      title: 'Redis, as seen by the gateways',
      runbook: 'redis-failing',
      panels: redisPanels(node),
      collapsed: true,
    },
    { title: 'Redis servers', runbook: 'redis-failing', panels: redisServerPanels(), collapsed: true },
    { title: 'Credentials', runbook: 'jwks-stale', panels: credentialPanels(node), collapsed: true },
    { title: 'Clocks', runbook: 'clock-wrong', panels: clockPanels(node), collapsed: true },
    { title: 'Processes', runbook: 'service-down', panels: processPanels(), collapsed: true },
    { title: 'Services behind the gateways', runbook: 'lag', panels: backendPanels(), collapsed: true },
  ]);
}

function decisions(): Panels {
  return [
    series({
      title: 'Checks by decision',
      description:
        'allowed: served. limited: refused. bypassed: service token, not checked. shadow_limited: over a limit in shadow mode, served.',
      queries: [promql(`sum by (decision) (rate(tollgate_checks_total{${node}}[${rate}]))`, '{{decision}}')],
      unit: 'reqps',
      stacked: true,
    }),
    series({
      title: 'Share refused',
      description: 'Refused requests ÷ all requests. The alert fires above 30 % for 5 minutes.',
      queries: [
        promql(
          `sum(rate(tollgate_checks_total{decision="limited",${node}}[${rate}])) / sum(rate(tollgate_checks_total{${node}}[${rate}]))`,
          'refused',
        ),
      ],
      unit: 'percentunit',
      warnAt: 0.1,
      badAt: 0.3,
    }),
    series({
      title: 'Refusals by limit',
      description: 'The first limit that was exceeded. `platform`: the limit of the whole platform.',
      queries: [
        promql(
          `sum by (limit) (rate(tollgate_checks_total{decision="limited",${node}}[${rate}]))`,
          '{{limit}}',
        ),
      ],
      unit: 'reqps',
      stacked: true,
    }),
    series({
      title: 'Checks by plan',
      description: 'Decisions by the plan that applied.',
      queries: [promql(`sum by (plan) (rate(tollgate_checks_total{${node}}[${rate}]))`, '{{plan}}')],
      unit: 'reqps',
      stacked: true,
    }),
    series({
      title: 'Responses by entrypoint and status',
      description: 'Responses by entrypoint and status class.',
      queries: [
        promql(
          `sum by (entrypoint, status) (rate(tollgate_responses_total{${node}}[${rate}]))`,
          '{{entrypoint}} {{status}}',
        ),
      ],
      unit: 'reqps',
    }),
    series({
      title: 'Requests in flight',
      description:
        'Running requests on each node, streaming ones included. The platform limit counts all nodes.',
      queries: [promql(`sum by (instance) (tollgate_requests_open{${node}})`, '{{instance}}')],
      unit: 'short',
      stacked: true,
    }),
  ];
}

function latency(): Panels {
  return [
    series({
      title: 'Latency of a check',
      width: 8,
      description:
        'Duration of a check. The promise is a p99 below 1 ms. Checks that a node decided without Redis have a line of their own: some of them waited for Redis in vain, most did not wait. While Redis is away, its lines end.',
      queries: [
        promql(quantile(0.5, 'tollgate_check_duration_seconds', byRedis), 'p50 by Redis'),
        promql(quantile(0.95, 'tollgate_check_duration_seconds', byRedis), 'p95 by Redis'),
        promql(quantile(0.99, 'tollgate_check_duration_seconds', byRedis), 'p99 by Redis'),
        promql(quantile(0.99, 'tollgate_check_duration_seconds', byNode), 'p99 without Redis'),
      ],
      unit: 's',
      badAt: 0.001,
    }),
    series({
      title: 'p99 of a check by gateway',
      width: 8,
      description: 'If a single node is slower, check its CPU and its network to Redis.',
      queries: [
        promql(
          `histogram_quantile(0.99, sum by (le, instance) (rate(tollgate_check_duration_seconds_bucket{${byRedis}}[${rate}])))`,
          '{{instance}}',
        ),
      ],
      unit: 's',
      badAt: 0.001,
    }),
    series({
      title: 'Upstream and slow-down',
      width: 8,
      description: 'p99 time to the first byte of the upstream, and p99 delay of requests near a limit.',
      queries: [
        promql(quantile(0.99, 'tollgate_upstream_duration_seconds', node), 'upstream'),
        promql(quantile(0.99, 'tollgate_slow_down_delay_seconds', node), 'delayed'),
      ],
      unit: 's',
    }),
  ];
}
