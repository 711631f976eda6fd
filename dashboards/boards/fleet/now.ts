import { series, stat, table, rate } from '../panels.ts';
import type { Panels } from '../panels.ts';
import { promql, promTable, quantile } from '../queries.ts';
import { ownErrors } from '../slo-queries.ts';

/** First row of Fleet: whether users are affected now. `node` selects gateways. */
export function affectedFigures(node: string): Panels {
  const all = `sum(rate(tollgate_checks_total{${node}}[${rate}]))`;
  return [
    stat({
      title: 'Refused',
      description:
        'Share of all requests with the response 429. Normal is what it was yesterday; a spike is an attack, a client in a loop, or a wrong limit.',
      queries: [
        promql(`sum(rate(tollgate_checks_total{decision="limited",${node}}[${rate}])) / ${all}`, 'refused'),
      ],
      unit: 'percentunit',
      ...{ warnAt: 0.1, badAt: 0.3, decimals: 1, runbook: 'rejection-spike', empty: 'no requests' },
    }),
    stat({
      title: 'Our errors',
      description:
        'Share of the responses that were 5xx without the upstream being the cause. The objective is at most 0.1 %.',
      queries: [promql(ownErrors(node, rate), 'errors')],
      unit: 'percentunit',
      ...{ warnAt: 0.0005, badAt: 0.001, decimals: 2, runbook: 'error-budget', empty: 'no requests' },
    }),
    stat({
      title: 'Upstream errors',
      description:
        'Share of the responses that were 5xx because of the upstream: its own 5xx, or it did not answer. Its team has to act.',
      queries: [
        promql(
          `sum(rate(tollgate_upstream_failures_total{${node}}[${rate}])) / sum(rate(tollgate_responses_total{${node}}[${rate}]))`,
          'errors',
        ),
      ],
      unit: 'percentunit',
      ...{ warnAt: 0.01, badAt: 0.05, decimals: 2, runbook: 'error-budget', empty: 'no requests' },
    }),
    stat({
      title: 'p99 of a check',
      description: '99 % of the checks that Redis decided took at most this time. The promise is 1 ms.',
      queries: [
        promql(quantile(0.99, 'tollgate_check_duration_seconds', `decided_by="redis",${node}`), 'p99'),
      ],
      unit: 's',
      ...{ warnAt: 0.001, badAt: 0.005, runbook: 'check-slow', empty: 'none by Redis' },
    }),
    stat({
      title: 'Without Redis',
      description:
        'Share of the checks that a gateway decided alone. Requests are served; limits are enforced by share.',
      queries: [promql(`sum(rate(tollgate_checks_degraded_total{${node}}[${rate}])) / ${all}`, 'degraded')],
      unit: 'percentunit',
      ...{ warnAt: 0.001, badAt: 0.25, decimals: 1, runbook: 'redis-failing', empty: 'no requests' },
    }),
    stat({
      title: 'Services up',
      description: 'Share of the scraped processes that answer.',
      queries: [promql('avg(up{job=~"tollgate-.*"})', 'up')],
      unit: 'percentunit',
      ...{ badAt: 1, lowIsBad: true, runbook: 'service-down', empty: 'nothing is scraped' },
    }),
  ];
}

/** Second row of Fleet: since when, where, and what changed. */
export function courseOfIncident(node: string): Panels {
  const all = `sum(rate(tollgate_responses_total{${node}}[${rate}]))`;
  return [
    series({
      title: 'Since when: requests that did not succeed',
      description:
        'Shares of all responses: refused, failed by us, failed by the upstream; and checks without Redis. Vertical lines mark releases, starts, and edits of the policy.',
      queries: [
        promql(
          `sum(rate(tollgate_checks_total{decision="limited",${node}}[${rate}])) / sum(rate(tollgate_checks_total{${node}}[${rate}]))`,
          'refused',
        ),
        promql(ownErrors(node, rate), 'our errors'),
        promql(
          `sum(rate(tollgate_upstream_failures_total{${node}}[${rate}])) / ${all}`,
          'errors of the upstream',
        ),
        promql(
          `sum(rate(tollgate_checks_degraded_total{${node}}[${rate}])) / sum(rate(tollgate_checks_total{${node}}[${rate}]))`,
          'without Redis',
        ),
      ],
      unit: 'percentunit',
      empty: 'No requests in this time range',
    }),
    series({
      title: 'Where: requests that failed, by gateway',
      description:
        'Responses of 5xx and checks without Redis, by gateway. One line: one gateway is at fault.',
      queries: [
        promql(
          `sum by (instance) (rate(tollgate_responses_total{status="5xx",${node}}[${rate}]))`,
          '5xx of {{instance}}',
        ),
        promql(
          `sum by (instance) (rate(tollgate_checks_degraded_total{${node}}[${rate}]))`,
          'without Redis: {{instance}}',
        ),
      ],
      unit: 'reqps',
      empty: 'No requests in this time range',
    }),
    alertsThatFire(),
    lastChanges(),
  ];
}

function alertsThatFire(): Panels[number] {
  return table(
    {
      title: 'Alerts that fire',
      description: 'Alerts of Prometheus that fire now. Their notifications name the cause and the runbook.',
      queries: [
        promTable(
          'sort_desc(time() - (max by (alertname, severity, instance, group, job) (ALERTS_FOR_STATE{alertname=~"Tollgate.*"}) and on (alertname) ALERTS{alertname=~"Tollgate.*",alertstate="firing"}))',
        ),
      ],
      empty: 'No alert fires',
    },
    {
      alertname: { heading: 'Alert', width: 190 },
      severity: { heading: 'Severity', width: 80 },
      instance: { heading: 'Instance' },
      group: { heading: 'Consumer' },
      job: { heading: 'Service' },
      Value: { heading: 'Since', unit: 's', width: 90 },
    },
  );
}

function lastChanges(): Panels[number] {
  return table(
    {
      title: 'What changed last',
      description: 'Latest start of each process, and the latest time at which it loaded its policy.',
      queries: [
        promTable(
          'sort_desc(label_replace(max by (service, instance) (process_start_time_seconds{job=~"tollgate-.*"}), "change", "started", "", "") * 1000 or label_replace(max by (service, instance) (tollgate_policy_loaded_timestamp_seconds), "change", "loaded its policy", "", "") * 1000)',
        ),
      ],
      empty: 'No process is scraped: see “Services up”',
      runbook: 'service-down',
    },
    {
      service: { heading: 'Service' },
      instance: { heading: 'Instance', width: 160 },
      change: { heading: 'Change', width: 140 },
      Value: { heading: 'When', unit: 'dateTimeFromNow', width: 140 },
    },
  );
}
