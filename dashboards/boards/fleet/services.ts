import { rate, series } from '../panels.ts';
import type { Panels } from '../panels.ts';
import { promql } from '../queries.ts';

const processes = 'job=~"tollgate-.*"';
const name = '{{service}} {{instance}}';

/** CPU, memory, garbage collection and file handles of every process. */
export function processPanels(): Panels {
  return [
    series({
      title: 'CPU',
      description:
        'CPU cores that each process uses. Node.js runs its code on one core: near 1 the process needs another one beside it.',
      queries: [promql(`rate(process_cpu_seconds_total{${processes}}[${rate}])`, name)],
      unit: 'short',
      ...{ warnAt: 0.7, badAt: 0.9, runbook: 'check-slow' },
    }),
    series({
      title: 'Event loop delay',
      description: 'p99 delay of timers in each process. Above 10 ms the process needs more CPU.',
      queries: [promql(`nodejs_eventloop_lag_p99_seconds{${processes}}`, name)],
      unit: 's',
      ...{ warnAt: 0.01, badAt: 0.05, runbook: 'check-slow' },
    }),
    series({
      title: 'Garbage collection',
      description:
        'Share of the time that each process spends in garbage collection. Above 10 % memory is short.',
      queries: [
        promql(
          `sum by (service, instance) (rate(nodejs_gc_duration_seconds_sum{${processes}}[${rate}]))`,
          name,
        ),
      ],
      unit: 'percentunit',
      ...{ warnAt: 0.05, badAt: 0.1, runbook: 'check-slow' },
    }),
    series({
      title: 'Memory',
      description: 'Resident memory of each process. It should be constant.',
      queries: [promql(`process_resident_memory_bytes{${processes}}`, name)],
      unit: 'bytes',
    }),
    series({
      title: 'Open file handles',
      description:
        'Share of the allowed file handles and sockets that are open. At 100 % new connections fail.',
      queries: [promql(`process_open_fds{${processes}} / process_max_fds{${processes}}`, name)],
      unit: 'percentunit',
      ...{ warnAt: 0.5, badAt: 0.8 },
    }),
    series({
      title: 'Starts',
      description:
        'How often each process started in the last hour. More than one: it stops by itself, or a release.',
      queries: [promql(`changes(process_start_time_seconds{${processes}}[1h])`, name)],
      unit: 'short',
      warnAt: 2,
    }),
  ];
}

/** Panels on the services behind the gateways. */
export function backendPanels(): Panels {
  return [
    series({
      title: 'Lag by consumer',
      description: 'Age of the oldest uncommitted record. The Pipeline dashboard has the details.',
      queries: [promql('max by (group) (tollgate_kafka_lag_seconds)', '{{group}}')],
      unit: 's',
      ...{ warnAt: 10, badAt: 60 },
    }),
    series({
      title: 'Freshness',
      description:
        'Age of the time up to which ClickHouse is complete. The target is below 1 s. The line ends where no aggregator answers.',
      queries: [promql('max(tollgate_aggregator_lag_seconds)', 'age of the totals')],
      unit: 's',
      ...{ warnAt: 5, badAt: 60, runbook: 'freshness', empty: 'No aggregator answers' },
    }),
  ];
}
