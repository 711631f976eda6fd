import { rate, series, table } from '../panels.ts';
import type { Panels } from '../panels.ts';
import { promql, quantile, sqlSeries, sqlTable } from '../queries.ts';
import { isComplete } from '../usage-ranges.ts';

/** Second half of the Pipeline dashboard: the path from Kafka to the totals, and from the totals to the counters. */
export function aggregator(): Panels {
  return [
    series({
      title: 'Rows and repeats',
      description: 'Inserted rows, repeated events, records that became dead letters.',
      queries: [
        promql(`sum(rate(tollgate_aggregator_rows_total[${rate}]))`, 'rows'),
        promql(`sum(rate(tollgate_aggregator_repeats_total[${rate}]))`, 'repeats'),
        promql(`sum(rate(tollgate_aggregator_dead_letters_total[${rate}]))`, 'dead letters'),
      ],
      unit: 'wps',
    }),
    series({
      title: 'Age of the totals',
      description:
        'Age of the time up to which every partition is counted, and p99 age of events when they are counted.',
      queries: [
        promql('max(tollgate_aggregator_lag_seconds)', 'counted through'),
        promql(quantile(0.99, 'tollgate_aggregator_freshness_seconds', ''), 'p99 of an event'),
      ],
      unit: 's',
      warnAt: 1,
      badAt: 60,
    }),
    series({
      title: 'Time of each step',
      description: 'Mean duration of each step of a block, failed attempts included.',
      queries: [
        promql(
          `sum by (step) (rate(tollgate_aggregator_step_seconds_sum[${rate}])) / sum by (step) (rate(tollgate_aggregator_step_seconds_count[${rate}]))`,
          '{{step}}',
        ),
      ],
      unit: 's',
      stacked: true,
    }),
    series({
      title: 'Blocks',
      description: 'Mean rows of a block, blocks per second, and failed attempts by step.',
      queries: [
        promql(
          `sum(rate(tollgate_aggregator_block_rows_sum[${rate}])) / sum(rate(tollgate_aggregator_block_rows_count[${rate}]))`,
          'rows in a block',
        ),
        promql(`sum(rate(tollgate_aggregator_blocks_total[${rate}]))`, 'blocks per second'),
        promql(
          `sum by (step) (increase(tollgate_aggregator_step_failures_total[${rate}]))`,
          'failed: {{step}}',
        ),
      ],
      unit: 'short',
    }),
  ];
}

export function clickhousePanels(): Panels {
  return [
    series({
      title: 'From event to row',
      description: 'Time from an event to its row in ClickHouse, for the events of each interval.',
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
      description: 'Distinct events by the time at which they were stored.',
      queries: [
        sqlSeries(`
SELECT $__timeInterval(ingested_at) AS time, count() / $__interval_s AS events
FROM \${database}.usage_events WHERE $__timeFilter(time) AND ${isComplete('$__timeInterval(ingested_at)')}
GROUP BY time ORDER BY time WITH FILL STEP $__interval_s`),
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
        table: { heading: 'Table', width: 140 },
        parts: { heading: 'Parts' },
        parts_in_a_partition: { heading: 'Most in a partition', warnAt: 100, badAt: 1000 },
        rows: { heading: 'Rows', unit: 'short' },
        bytes: { heading: 'Size', unit: 'bytes' },
        bytes_per_row: { heading: 'Bytes per row', unit: 'bytes', decimals: 1 },
      },
    ),
    table(
      {
        title: 'Progress by partition',
        description: 'Time up to which each partition of the usage topic is stored in ClickHouse.',
        queries: [
          sqlTable(`
SELECT topic, kafka_partition AS partition, complete_through, kafka_offset AS next_offset,
       dateDiff('millisecond', complete_through, now64(3)) / 1000 AS age
FROM \${database}.pipeline_progress FINAL ORDER BY topic, partition`),
        ],
      },
      {
        topic: { heading: 'Topic', width: 150 },
        partition: { heading: 'Partition' },
        complete_through: { heading: 'Complete through', unit: 'dateTimeAsIso', width: 170 },
        next_offset: { heading: 'Next offset', width: 100 },
        age: { heading: 'Age', unit: 's', warnAt: 5, badAt: 60 },
      },
    ),
  ];
}

export function restoration(): Panels {
  return [
    series({
      title: 'Drift',
      description:
        'Largest difference between a quota counter in Redis and its total in ClickHouse. Slightly ahead is normal: events on their way to ClickHouse.',
      queries: [promql('max by (direction) (tollgate_drift_max_units)', 'Redis {{direction}}')],
      unit: 'short',
      badAt: 500,
    }),
    series({
      title: 'Restored counters',
      description: 'Compared counters by result, and the units by which counters were raised.',
      queries: [
        promql(`sum by (result) (rate(tollgate_quota_comparisons_total[${rate}]))`, '{{result}}'),
        promql(`sum(rate(tollgate_quota_raised_units_total[${rate}]))`, 'units raised'),
      ],
      unit: 'ops',
    }),
    series({
      title: 'Trust and rebuilds',
      description:
        'Trust: 1 while Redis answers and no counter is lost. Rebuilds of all counters. Failed comparisons.',
      queries: [
        promql('min(tollgate_counters_trusted)', 'trusted'),
        promql(`sum(increase(tollgate_rebuilds_total[${rate}]))`, 'rebuilds'),
        promql(`sum(increase(tollgate_counter_checks_failed_total[${rate}]))`, 'failed comparisons'),
      ],
      unit: 'short',
    }),
    series({
      title: 'Losses found',
      runbook: 'loss-found',
      description:
        'Results of the last audit. offset: records of Kafka that are not in ClickHouse. sequence: events of gateways that neither Kafka nor ClickHouse has. counter: units that only Redis counted. Days whose totals differ from their events. Spools restored from an older copy.',
      queries: [
        promql('max by (kind) (tollgate_audit_missing_events)', 'missing by {{kind}}'),
        promql('max(tollgate_audit_disagreeing_days)', 'days that disagree'),
        promql('max(tollgate_audit_spools_set_back)', 'spools set back'),
      ],
      unit: 'short',
      badAt: 1,
    }),
    series({
      title: 'Age of the audit',
      runbook: 'loss-found',
      description: 'Time since the last completed audit. By default it runs every five minutes.',
      queries: [promql('time() - (max(tollgate_audit_last_success_timestamp_seconds) > 0)', 'last audit')],
      unit: 's',
      badAt: 1_800,
    }),
    series({
      title: 'Time to rebuild',
      description: 'Time from the detection of lost counters until all are restored.',
      queries: [promql(quantile(0.99, 'tollgate_rebuild_seconds', ''), 'p99')],
      unit: 's',
      badAt: 3,
    }),
  ];
}

export function notifications(): Panels {
  return [
    series({
      title: 'Alerts raised',
      description: 'Alerts to tenants by kind: threshold, exceeded, forecast, recovered, rejections.',
      queries: [promql(`sum by (kind) (increase(tollgate_alerts_total[${rate}]))`, '{{kind}}')],
      unit: 'short',
      stacked: true,
    }),
    series({
      title: 'Quotas over 90 %',
      runbook: 'tenant-over-90',
      description: 'Quotas that went over 90 % in 15 minutes. The Business dashboard lists their tenants.',
      queries: [promql('sum(increase(tollgate_quotas_over_90_total[15m]))', 'quotas')],
      unit: 'short',
      warnAt: 1,
    }),
    series({
      title: 'Deliveries',
      description:
        'Finished deliveries by channel and status; dead: given up. Pending ones wait for a retry.',
      queries: [
        promql(
          `sum by (channel, status) (increase(tollgate_deliveries_total[${rate}]))`,
          '{{channel}} {{status}}',
        ),
        promql('sum by (state) (tollgate_deliveries_pending)', 'pending: {{state}}'),
      ],
      unit: 'short',
    }),
    series({
      title: 'Attempts',
      description: 'Delivery attempts by channel and outcome.',
      queries: [
        promql(
          `sum by (channel, outcome) (increase(tollgate_delivery_attempts_total[${rate}]))`,
          '{{channel}} {{outcome}}',
        ),
      ],
      unit: 'short',
    }),
    series({
      title: 'From total to alert to delivery',
      description:
        'p99 from announced totals to their alert, from the alert to its delivery, and of one attempt.',
      queries: [
        promql(quantile(0.99, 'tollgate_evaluation_age_seconds', ''), 'total to alert'),
        promql(quantile(0.99, 'tollgate_delivery_age_seconds', ''), 'alert to delivery'),
        promql(quantile(0.99, 'tollgate_delivery_attempt_seconds', ''), 'attempt'),
      ],
      unit: 's',
      warnAt: 2,
    }),
    series({
      title: 'Unreadable totals',
      description: 'Records of the totals topic that could not be read, by service. Must be 0.',
      queries: [
        promql(`sum by (service) (increase(tollgate_totals_unreadable_total[${rate}]))`, '{{service}}'),
      ],
      unit: 'short',
      badAt: 1,
    }),
  ];
}
