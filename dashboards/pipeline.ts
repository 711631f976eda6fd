import type { ClassicDashboard } from './classic.ts';
import { RowBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { quantile } from './fleet.ts';
import { rate, series, stat, table } from './panels.ts';
import { promql, sqlSeries, sqlTable } from './queries.ts';
import { dashboard } from './sources.ts';

type Panels = readonly (ReturnType<typeof stat> | ReturnType<typeof series> | ReturnType<typeof table>)[];

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
    ['Kafka', kafka()],
    ['ClickHouse', clickhousePanels()],
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
      title: 'Events lost by a full spool',
      description:
        'Events that no spool could take: usage that was served and will never be counted. Must be 0.',
      queries: [promql('sum(tollgate_events_unwritten_total)', 'lost')],
      unit: 'short',
      badAt: 1,
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

function clickhousePanels(): Panels {
  return [
    series({
      title: 'From event to row',
      description: 'Time between an event and its row in ClickHouse, by the events of each interval.',
      queries: [
        sqlSeries(`
SELECT bucket AS time, q[1] AS p50, q[2] AS p99
FROM (SELECT $__timeInterval(time) AS bucket, quantiles(0.5, 0.99)(dateDiff('millisecond', time, ingested_at) / 1000) AS q
      FROM \${database}.usage_events WHERE $__timeFilter(time) GROUP BY bucket)
ORDER BY time`),
      ],
      unit: 's',
      warnAt: 1,
      badAt: 10,
    }),
    series({
      title: 'Rows per second',
      description: 'Distinct events by the second they were stored.',
      queries: [
        sqlSeries(`
SELECT $__timeInterval(ingested_at) AS time, count() / $__interval_s AS events
FROM \${database}.usage_events WHERE $__timeFilter(time) GROUP BY time ORDER BY time WITH FILL STEP $__interval_s`),
      ],
      unit: 'wps',
    }),
    table(
      {
        title: 'Tables',
        description:
          'Active parts, rows and bytes of each table. Hundreds of parts in one partition mean merges are behind; ClickHouse refuses inserts at 3000.',
        queries: [
          sqlTable(`
SELECT table, count() AS parts, max(partition_parts) AS parts_in_a_partition, sum(rows) AS rows, sum(bytes_on_disk) AS bytes,
       bytes / greatest(rows, 1) AS bytes_per_row
FROM (SELECT table, rows, bytes_on_disk, count() OVER (PARTITION BY table, partition) AS partition_parts
      FROM system.parts WHERE database = '\${database}' AND active)
GROUP BY table ORDER BY bytes DESC`),
        ],
      },
      {
        parts_in_a_partition: { warnAt: 100, badAt: 1000 },
        bytes: { unit: 'bytes' },
        bytes_per_row: { unit: 'bytes', decimals: 1 },
      },
    ),
    table(
      {
        title: 'Progress by partition',
        description: 'Up to where each partition of the usage topic is complete in ClickHouse.',
        queries: [
          sqlTable(`
SELECT topic, kafka_partition AS partition, complete_through, kafka_offset AS next_offset,
       dateDiff('millisecond', complete_through, now64(3)) / 1000 AS age
FROM \${database}.pipeline_progress FINAL ORDER BY topic, partition`),
        ],
      },
      {
        complete_through: { unit: 'dateTimeAsIso' },
        age: { unit: 's', warnAt: 5, badAt: 60 },
      },
    ),
  ];
}
