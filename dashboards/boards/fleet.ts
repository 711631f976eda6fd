import type { ClassicDashboard } from './sources.ts';
import { clockPanels } from './fleet-clocks.ts';
import { credentialPanels } from './fleet-credentials.ts';
import { QueryVariableBuilder, RowBuilder, VariableRefresh } from '@grafana/grafana-foundation-sdk/dashboard';
import { rate, series, stat } from './panels.ts';
import type { Panels } from './panels.ts';
import { promql, quantile } from './queries.ts';
import { dashboard, prometheus } from './sources.ts';

const node = 'instance=~"$node"';

/** Is every request being decided, quickly, by Redis, and does the truth follow? The first look of whoever is on call. */
export function fleetDashboard(): ClassicDashboard {
  const builder = dashboard(
    'fleet',
    'Tollgate / Fleet',
    'Health of all gateways: checks, passes, rejections, latency of the decision, degraded nodes, lag and freshness behind them.',
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
  const sections: readonly (readonly [string, Panels])[] = [
    ['Now', figures()],
    ['Decisions', decisions()],
    ['Latency', latency()],
    ['Redis', redis()],
    ['Credentials', credentialPanels(node)],
    ['Clocks', clockPanels(node)],
    ['Behind the gateways', behind()],
  ];
  for (const [title, panels] of sections) {
    builder.withRow(new RowBuilder(title));
    for (const panel of panels) builder.withPanel(panel);
  }
  return builder;
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
        'Share of decisions that refused. A spike is an incident or an attack: see which limit and plan.',
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
      description: '99 of 100 decisions are known within this time. The promise is 1 ms.',
      queries: [promql(quantile(0.99, 'tollgate_check_duration_seconds', node), 'p99')],
      unit: 's',
      warnAt: 0.001,
      badAt: 0.005,
    }),
    stat({
      title: 'Degraded nodes',
      description: 'Gateways that decide by themselves because a Redis server does not answer. Should be 0.',
      queries: [promql(`sum(tollgate_redis_servers_away{${node}} > bool 0)`, 'degraded')],
      unit: 'short',
      badAt: 1,
    }),
    stat({
      title: 'Freshness',
      description: 'Age of the newest moment up to which ClickHouse is complete. The aim is under 1 s.',
      queries: [promql('max(tollgate_aggregator_lag_seconds)', 'freshness')],
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
        'allowed passed, limited was refused, bypassed had a service token, shadow_limited passed and would not have.',
      queries: [promql(`sum by (decision) (rate(tollgate_checks_total{${node}}[${rate}]))`, '{{decision}}')],
      unit: 'reqps',
      stacked: true,
    }),
    series({
      title: 'Share refused',
      description: 'Refused decisions of all. The alert fires above 30 % for 5 minutes.',
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
      description: 'Which limit had no room first. `platform` means the platform itself is full.',
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
      title: 'Answers by entrypoint and status',
      description: 'Answered requests by the entrypoint they came through and their status class.',
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
        'Requests being served, streaming ones included, on each node. The platform limit counts all nodes.',
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
      description: 'Time from asking the limiter to knowing. The promise is a p99 under 1 ms.',
      queries: [
        promql(quantile(0.5, 'tollgate_check_duration_seconds', node), 'p50'),
        promql(quantile(0.95, 'tollgate_check_duration_seconds', node), 'p95'),
        promql(quantile(0.99, 'tollgate_check_duration_seconds', node), 'p99'),
      ],
      unit: 's',
      badAt: 0.001,
    }),
    series({
      title: 'p99 of a check by node',
      description: 'One node that stands out has a problem of its own: its CPU, or its way to Redis.',
      queries: [
        promql(
          `histogram_quantile(0.99, sum by (le, instance) (rate(tollgate_check_duration_seconds_bucket{${node}}[${rate}])))`,
          '{{instance}}',
        ),
      ],
      unit: 's',
      badAt: 0.001,
    }),
    series({
      title: 'Event loop delay',
      description: 'p99 of how late timers fire in each process. Above 10 ms the process is short of CPU.',
      queries: [promql('nodejs_eventloop_lag_p99_seconds{job=~"tollgate-.*"}', '{{service}} {{instance}}')],
      unit: 's',
    }),
    series({
      title: 'Upstream and slow-down',
      description:
        'p99 of the upstream’s first byte, and p99 of how long requests near a limit were held back.',
      queries: [
        promql(quantile(0.99, 'tollgate_upstream_duration_seconds', node), 'upstream'),
        promql(quantile(0.99, 'tollgate_slow_down_delay_seconds', node), 'held back'),
      ],
      unit: 's',
    }),
  ];
}

function redis(): Panels {
  return [
    series({
      title: 'Degraded checks',
      description: 'Decisions a node made by itself because Redis did not answer in time. 0 in health.',
      queries: [
        promql(`sum by (instance) (rate(tollgate_checks_degraded_total{${node}}[${rate}]))`, '{{instance}}'),
      ],
      unit: 'reqps',
      badAt: 0.1,
    }),
    series({
      title: 'Redis servers away',
      description: 'Redis servers that a node decides without, and how often a node gave one up, by reason.',
      queries: [
        promql(`sum by (instance) (tollgate_redis_servers_away{${node}})`, 'away from {{instance}}'),
        promql(
          `sum by (reason) (increase(tollgate_redis_breaker_opened_total{${node}}[${rate}]))`,
          'given up: {{reason}}',
        ),
      ],
      unit: 'short',
    }),
    series({
      title: 'Latency of a Redis call',
      description: 'Time from sending a batch of checks to its answer, as a node sees it.',
      queries: [
        promql(quantile(0.5, 'tollgate_redis_call_duration_seconds', node), 'p50'),
        promql(quantile(0.99, 'tollgate_redis_call_duration_seconds', node), 'p99'),
      ],
      unit: 's',
      badAt: 0.005,
    }),
    series({
      title: 'Checks per Redis call',
      description: 'How many checks of one event-loop turn travelled together. More under load is good.',
      queries: [
        promql(
          `sum(rate(tollgate_redis_batch_checks_sum{${node}}[${rate}])) / sum(rate(tollgate_redis_batch_checks_count{${node}}[${rate}]))`,
          'checks',
        ),
      ],
      unit: 'short',
    }),
    series({
      title: 'Live nodes',
      description: 'Nodes that share the limits, as each node sees it. They should agree.',
      queries: [promql(`tollgate_nodes_live{${node}}`, '{{instance}}')],
      unit: 'short',
    }),
    series({
      title: 'Policy',
      description: 'Time since each process loaded its policy, and edits of the file that were refused.',
      queries: [promql('time() - tollgate_policy_loaded_timestamp_seconds', '{{service}}')],
      unit: 's',
    }),
  ];
}

function behind(): Panels {
  return [
    series({
      title: 'Lag by consumer',
      description: 'Age of the oldest record not committed yet. The Pipeline dashboard goes on from here.',
      queries: [promql('max by (group) (tollgate_kafka_lag_seconds)', '{{group}}')],
      unit: 's',
      warnAt: 10,
      badAt: 60,
    }),
    series({
      title: 'Memory',
      description: 'Resident memory of each process. It should be flat.',
      queries: [promql('process_resident_memory_bytes{job=~"tollgate-.*"}', '{{service}} {{instance}}')],
      unit: 'bytes',
    }),
  ];
}
