import type { ClassicDashboard } from '../sources.ts';
import { rate, series, stat, withSections } from '../panels.ts';
import type { Panels } from '../panels.ts';
import { aggregator, clickhousePanels, restoration, notifications } from './totals.ts';
import { clickhouseServer, kafkaCluster } from './servers.ts';
import { withChanges } from '../annotations.ts';
import { promql, quantile, sqlTable } from '../queries.ts';
import { dashboard } from '../sources.ts';

/**
 * Dashboard on the path of an event from the gateway's disk to the totals, and on the path of the totals back to the
 * counters.
 */
export function pipelineDashboard(): ClassicDashboard {
  const builder = dashboard(
    'pipeline',
    'Tollgate / Pipeline',
    'The path of a usage event: spool, Kafka, aggregator, ClickHouse, and back to the counters. Events may wait at each step, and must not be lost.',
  )
    .time({ from: 'now-1h', to: 'now' })
    .refresh('10s');
  const closed = { collapsed: true };
  return withSections(withChanges(builder), [
    { title: 'Now', runbook: 'freshness', panels: figures() },
    { title: 'Spool', runbook: 'spool-filling', panels: spool(), ...closed },
    { title: 'Kafka', runbook: 'lag', panels: kafka(), ...closed },
    { title: 'Kafka cluster', runbook: 'kafka-unavailable', panels: kafkaCluster(), ...closed },
    { title: 'Aggregator', runbook: 'freshness', panels: aggregator(), ...closed },
    { title: 'ClickHouse', runbook: 'lag', panels: clickhousePanels(), ...closed },
    { title: 'ClickHouse server', runbook: 'lag', panels: clickhouseServer(), ...closed },
    { title: 'Totals and counters', runbook: 'drift', panels: restoration(), ...closed },
    { title: 'Notifications to tenants', runbook: 'deliveries-failing', panels: notifications(), ...closed },
  ]);
}

function figures(): Panels {
  return [
    stat({
      title: 'Complete through',
      description: 'Age of the time up to which every partition is stored in ClickHouse.',
      queries: [
        sqlTable(
          `SELECT dateDiff('millisecond', min(complete_through), now64(3)) / 1000 AS age FROM \${database}.pipeline_progress FINAL`,
        ),
      ],
      unit: 's',
      warnAt: 5,
      badAt: 60,
      empty: 'no progress yet',
    }),
    stat({
      title: 'Event to total, p99',
      description: 'Age of an event when it is first included in the totals. The target is below 1 s.',
      queries: [promql(quantile(0.99, 'tollgate_aggregator_freshness_seconds', ''), 'p99')],
      unit: 's',
      warnAt: 1,
      badAt: 10,
    }),
    stat({
      title: 'Oldest in a spool',
      runbook: 'spool-filling',
      description: 'Age of the oldest event that Kafka has not acknowledged, over all gateways.',
      queries: [promql('max(tollgate_spool_oldest_age_seconds)', 'age')],
      unit: 's',
      warnAt: 10,
      badAt: 60,
    }),
    stat({
      title: 'Dead letters',
      runbook: 'dead-letters',
      description:
        'Records of the last hour, of any topic, that could not be read or handled. Each one of the usage topic is usage that is not counted.',
      queries: [promql('sum(increase(tollgate_dead_letters_total[1h]))', 'records')],
      unit: 'short',
      warnAt: 1,
      badAt: 100,
    }),
    unexpectedFailures(),
    stat({
      title: 'Events lost',
      runbook: 'events-lost',
      description:
        'Events that a spool dropped or refused in the last hour: this usage is never counted. Must be 0.',
      queries: [
        promql(
          'sum(increase(tollgate_spool_dropped_total[1h])) + sum(increase(tollgate_events_unwritten_total[1h]))',
          'lost',
        ),
      ],
      unit: 'short',
      badAt: 1,
    }),
    stat({
      title: 'Heartbeat',
      runbook: 'heartbeat-missing',
      description:
        'Time since the last heartbeat passed from the usage topic to an alert. One is sent each minute.',
      queries: [promql('time() - max(tollgate_heartbeat_last_success_timestamp_seconds)', 'ago')],
      unit: 's',
      warnAt: 120,
      badAt: 180,
      empty: 'never',
    }),
  ];
}

function unexpectedFailures(): Panels[number] {
  return stat({
    title: 'Unexpected failures',
    runbook: 'processing-fails',
    description:
      'Attempts of consumers in the last hour that failed by an error in their own code and were retried. Must be 0.',
    queries: [promql('sum by (group) (increase(tollgate_kafka_unexpected_failures_total[1h]))', '{{group}}')],
    unit: 'short',
    badAt: 1,
  });
}

function spool(): Panels {
  return [
    series({
      title: 'Age of the spool',
      description: 'Age of the oldest event that Kafka has not acknowledged, by gateway. Should be near 0.',
      queries: [promql('max by (instance) (tollgate_spool_oldest_age_seconds)', '{{instance}}')],
      unit: 's',
      warnAt: 10,
      badAt: 60,
    }),
    series({
      title: 'Bytes of the spool',
      description:
        'Bytes of the files with events that Kafka does not have yet. A file is removed when Kafka has all of its events, so the size of one file is normal; “Age of the spool” shows whether Kafka is behind.',
      queries: [promql('sum by (instance) (tollgate_spool_bytes)', '{{instance}}')],
      unit: 'bytes',
    }),
    series({
      title: 'Events into the spool',
      description:
        'Appended events; dropped events by reason, which must be 0; writes that the disk refused.',
      queries: [
        promql(`sum(rate(tollgate_spool_appended_total[${rate}]))`, 'appended'),
        promql(`sum by (reason) (rate(tollgate_spool_dropped_total[${rate}]))`, 'dropped: {{reason}}'),
        promql(`sum(rate(tollgate_spool_write_failures_total[${rate}]))`, 'refused by the disk'),
      ],
      unit: 'wps',
    }),
    series({
      title: 'Events in memory only',
      runbook: 'spool-disk',
      description:
        'Bytes of events that neither the disk nor Kafka has, and responses sent before their event was on disk. Near 0 while the disk works.',
      queries: [
        promql('sum by (instance) (tollgate_spool_memory_bytes)', 'bytes: {{instance}}'),
        promql(`sum by (instance) (rate(tollgate_spool_unstored_total[${rate}]))`, 'events/s: {{instance}}'),
        promql('max by (instance) (tollgate_spool_memory_only)', 'memory only: {{instance}}'),
      ],
      unit: 'short',
    }),
    series({
      title: 'Free disk of the spool',
      description:
        'Share of the file system of the spool that is free. At 0 events are kept in memory only. The alert fires below 10 %.',
      queries: [
        promql(
          'min by (instance) (tollgate_spool_disk_free_bytes / tollgate_spool_disk_bytes)',
          '{{instance}}',
        ),
      ],
      unit: 'percentunit',
      runbook: 'spool-disk',
    }),
    series({
      title: 'Time to write',
      description: 'Duration of one write, for all events that waited for it. Responses wait for it.',
      queries: [
        promql(quantile(0.5, 'tollgate_spool_write_seconds', ''), 'p50'),
        promql(quantile(0.99, 'tollgate_spool_write_seconds', ''), 'p99'),
      ],
      unit: 's',
    }),
  ];
}

function kafka(): Panels {
  return [
    series({
      title: 'Produced and consumed',
      description:
        'Records that Kafka acknowledged, by topic, and records handled and committed, by consumer.',
      queries: [
        promql(`sum by (topic) (rate(tollgate_kafka_produced_records_total[${rate}]))`, 'to {{topic}}'),
        promql(`sum by (group) (rate(tollgate_kafka_consumed_records_total[${rate}]))`, 'by {{group}}'),
      ],
      unit: 'wps',
    }),
    series({
      title: 'Lag in seconds',
      description: 'Age of the oldest record that a consumer has not committed.',
      queries: [promql('max by (group) (tollgate_kafka_lag_seconds)', '{{group}}')],
      unit: 's',
      warnAt: 10,
      badAt: 60,
    }),
    series({
      title: 'Lag in records',
      description: 'Records not committed yet, and those fetched and not handled yet.',
      queries: [
        promql('sum by (group) (tollgate_kafka_lag_messages)', '{{group}}'),
        promql('sum by (group) (tollgate_kafka_buffered_records)', '{{group}} in memory'),
      ],
      unit: 'short',
    }),
    series({
      title: 'Time to acknowledge',
      description: 'Time from sending a batch to Kafka until its last partition was acknowledged.',
      queries: [
        promql(quantile(0.5, 'tollgate_kafka_produce_seconds', ''), 'p50'),
        promql(quantile(0.99, 'tollgate_kafka_produce_seconds', ''), 'p99'),
      ],
      unit: 's',
    }),
    series({
      title: 'Produce failures',
      description: 'Sends that failed, were acknowledged only in part, or were refused; and waiting sends.',
      queries: [
        promql(
          `sum by (topic, kind) (increase(tollgate_kafka_produce_failures_total[${rate}]))`,
          '{{topic}} {{kind}}',
        ),
        promql('sum(tollgate_kafka_produce_waiting)', 'waiting'),
      ],
      unit: 'short',
    }),
    series({
      title: 'Batches and rebalances',
      description: 'Batches by outcome, assignments received, and consumers restarted.',
      queries: [
        promql(
          `sum by (group, outcome) (rate(tollgate_kafka_consumed_batches_total[${rate}]))`,
          '{{group}} {{outcome}}',
        ),
        promql(`sum by (group) (increase(tollgate_kafka_rebalances_total[${rate}]))`, '{{group}} rebalances'),
        promql(
          `sum by (group) (increase(tollgate_kafka_consumer_restarts_total[${rate}]))`,
          '{{group}} restarts',
        ),
      ],
      unit: 'short',
    }),
  ];
}
