import type { ClassicDashboard } from './sources.ts';
import { clockPanels } from './fleet-clocks.ts';
import { credentialPanels } from './fleet-credentials.ts';
import { redisPanels } from './fleet-redis.ts';
import { QueryVariableBuilder, VariableRefresh } from '@grafana/grafana-foundation-sdk/dashboard';
import { rate, series, stat, withSections } from './panels.ts';
import type { Panels } from './panels.ts';
import { promql, quantile } from './queries.ts';
import { dashboard, prometheus } from './sources.ts';

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
  return withSections(builder, [
    ['Now', figures()],
    ['Decisions', decisions()],
    ['Latency', latency()],
    ['Redis', redisPanels(node)],
    ['Credentials', credentialPanels(node)],
    ['Clocks', clockPanels(node)],
    ['Services behind the gateways', backend()],
  ]);
}

function figures(): Panels {
  return [
    stat({
      title: 'Checks',
      description: 'Decisions per second over all selected gateways.',
      queries: [promql(`sum(rate(tollgate_checks_total{${node}}[${rate}]))`, 'checks')],
      unit: 'reqps',
    }),
    stat({
      title: 'Refused',
      description:
        'Share of refused requests. A spike is an incident or an attack: check which limit and plan.',
      queries: [
        promql(
          `sum(rate(tollgate_checks_total{decision="limited",${node}}[${rate}])) / sum(rate(tollgate_checks_total{${node}}[${rate}]))`,
          'refused',
        ),
      ],
      unit: 'percentunit',
      warnAt: 0.1,
      badAt: 0.3,
      decimals: 1,
    }),
    stat({
      title: 'p99 of a check',
      description: '99 % of the checks that Redis decided took at most this time. The promise is 1 ms.',
      empty: 'Redis decides no check',
      queries: [promql(quantile(0.99, 'tollgate_check_duration_seconds', byRedis), 'p99')],
      unit: 's',
      warnAt: 0.001,
      badAt: 0.005,
    }),
    stat({
      title: 'Degraded nodes',
      description: 'Gateways that decide alone because a Redis server does not answer. Should be 0.',
      queries: [promql(`sum(tollgate_redis_servers_away{${node}} > bool 0)`, 'degraded')],
      unit: 'short',
      badAt: 1,
    }),
    stat({
      title: 'Freshness',
      description:
        'Age of the time up to which ClickHouse is complete. The target is below 1 s. Infinite: no aggregator answers.',
      // Without `vector(Inf)`, the panel would still show the last value after all aggregators have stopped.
      queries: [promql('max(tollgate_aggregator_lag_seconds) or vector(Inf)', 'freshness')],
      unit: 's',
      warnAt: 5,
      badAt: 60,
    }),
    stat({
      title: 'Services up',
      description: 'Share of the scraped processes that answer.',
      queries: [promql('avg(up{job=~"tollgate-.*"})', 'up')],
      unit: 'percentunit',
      badAt: 1,
      lowIsBad: true,
    }),
  ];
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
      title: 'p99 of a check by node',
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
      title: 'Event loop delay',
      description: 'p99 delay of timers in each process. Above 10 ms the process needs more CPU.',
      queries: [promql('nodejs_eventloop_lag_p99_seconds{job=~"tollgate-.*"}', '{{service}} {{instance}}')],
      unit: 's',
    }),
    series({
      title: 'Upstream and slow-down',
      description: 'p99 time to the first byte of the upstream, and p99 delay of requests near a limit.',
      queries: [
        promql(quantile(0.99, 'tollgate_upstream_duration_seconds', node), 'upstream'),
        promql(quantile(0.99, 'tollgate_slow_down_delay_seconds', node), 'delayed'),
      ],
      unit: 's',
    }),
  ];
}

function backend(): Panels {
  return [
    series({
      title: 'Lag by consumer',
      description: 'Age of the oldest uncommitted record. The Pipeline dashboard has the details.',
      queries: [promql('max by (group) (tollgate_kafka_lag_seconds)', '{{group}}')],
      unit: 's',
      warnAt: 10,
      badAt: 60,
    }),
    series({
      title: 'Memory',
      description: 'Resident memory of each process. It should be constant.',
      queries: [promql('process_resident_memory_bytes{job=~"tollgate-.*"}', '{{service}} {{instance}}')],
      unit: 'bytes',
    }),
  ];
}
