import type { ClassicDashboard } from './sources.ts';
import { RowBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { rate, series, stat } from './panels.ts';
import type { Panels } from './panels.ts';
import { aggregator, clickhousePanels, healing, notifications } from './pipeline-totals.ts';
import { promql, quantile, sqlTable } from './queries.ts';
import { dashboard } from './sources.ts';

/** The way of an event from the gateway's disk to a total, and of the total back to the counters. */
export function pipelineDashboard(): ClassicDashboard {
  const builder = dashboard(
    'pipeline',
    'Tollgate / Pipeline',
    'The way of a usage event: spool, Kafka, aggregator, ClickHouse, and back to the counters. Nothing may be lost here; everything may wait.',
  )
    .time({ from: 'now-1h', to: 'now' })
    .refresh('10s');
  const sections: readonly (readonly [string, Panels])[] = [
    ['Now', figures()],
    ['Spool', spool()],
    ['Kafka', kafka()],
    ['Aggregator', aggregator()],
    ['ClickHouse', clickhousePanels()],
    ['Truth and counters', healing()],
    ['Notifications', notifications()],
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
      title: 'Complete through',
      description: 'Age of the moment up to which every partition is known to be in ClickHouse.',
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
      description: 'Age of an event when it is first visible in the totals. The aim is under 1 s.',
      queries: [promql(quantile(0.99, 'tollgate_aggregator_freshness_seconds', ''), 'p99')],
      unit: 's',
      warnAt: 1,
      badAt: 10,
    }),
    stat({
      title: 'Oldest event on a gateway',
      description: 'Age of the oldest event that Kafka has not acknowledged, over all gateways.',
      queries: [promql('max(tollgate_spool_oldest_age_seconds)', 'age')],
      unit: 's',
      warnAt: 10,
      badAt: 60,
    }),
    stat({
      title: 'Dead letters',
      description:
        'Records of the last hour, of any topic, that could not be read or handled. Of the usage topic each is usage that is not counted.',
      queries: [promql('sum(increase(tollgate_dead_letters_total[1h]))', 'records')],
      unit: 'short',
      warnAt: 1,
      badAt: 100,
    }),
    unexpectedFailures(),
    stat({
      title: 'Events lost',
      description:
        'Events that a spool dropped or refused in the last hour: usage that will never be counted. Must be 0.',
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
      description:
        'Seconds since a heartbeat last came through from request to alert. It beats once a minute.',
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
    description:
      'Attempts of consumers in the last hour that ended in an error of their own code, and were repeated. Must be 0.',
    queries: [promql('sum by (group) (increase(tollgate_kafka_unexpected_failures_total[1h]))', '{{group}}')],
    unit: 'short',
    badAt: 1,
  });
}

function spool(): Panels {
  return [
    series({
      title: 'Age of the spool',
      description: 'Age of the oldest event that Kafka has not acknowledged, by gateway. Near 0 in health.',
      queries: [promql('max by (instance) (tollgate_spool_oldest_age_seconds)', '{{instance}}')],
      unit: 's',
      warnAt: 10,
      badAt: 60,
    }),
    series({
      title: 'Bytes of the spool',
      description:
        'Bytes of the files that hold events on their way to Kafka. Growing: Kafka takes less than comes.',
      queries: [promql('sum by (instance) (tollgate_spool_bytes)', '{{instance}}')],
      unit: 'bytes',
    }),
    series({
      title: 'Events into the spool',
      description:
        'Events taken by the spool; dropped ones by reason, which must be none; writes that the disk refused.',
      queries: [
        promql(`sum(rate(tollgate_spool_appended_total[${rate}]))`, 'taken'),
        promql(`sum by (reason) (rate(tollgate_spool_dropped_total[${rate}]))`, 'dropped: {{reason}}'),
        promql(`sum(rate(tollgate_spool_write_failures_total[${rate}]))`, 'refused by the disk'),
      ],
      unit: 'wps',
    }),
    series({
      title: 'Events in memory only',
      description:
        'Bytes of events that neither the disk nor Kafka has, and answers that left before the disk had their event. Near 0 while the disk works.',
      queries: [
        promql('sum by (instance) (tollgate_spool_memory_bytes)', 'bytes: {{instance}}'),
        promql(`sum by (instance) (rate(tollgate_spool_unstored_total[${rate}]))`, 'events/s: {{instance}}'),
        promql('max by (instance) (tollgate_spool_memory_only)', 'memory only: {{instance}}'),
      ],
      unit: 'short',
    }),
    series({
      title: 'Time to write',
      description:
        'Time of one write, which serves all events that waited for it; it stands between a decision and its answer.',
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
      description:
        'Time from handing a batch to Kafka until its last partition was acknowledged; sends that wait.',
      queries: [
        promql(quantile(0.5, 'tollgate_kafka_produce_seconds', ''), 'p50'),
        promql(quantile(0.99, 'tollgate_kafka_produce_seconds', ''), 'p99'),
      ],
      unit: 's',
    }),
    series({
      title: 'Produce failures',
      description:
        'Sends that failed, that Kafka acknowledged only in part, or refused for good; and sends that wait.',
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
      description: 'Batches by outcome, assignments received, consumers built anew.',
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
