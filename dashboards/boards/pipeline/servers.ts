import { series, table } from '../panels.ts';
import type { Panels } from '../panels.ts';
import { promql, sqlTable } from '../queries.ts';

/** Panels on the Kafka cluster, as the reconciler reads it every 15 s, and on the lag of each partition. */
export function kafkaCluster(): Panels {
  return [
    series({
      title: 'Offline partitions',
      description:
        'Partitions of each topic that cannot be used: all of them while Kafka does not answer or a partition has no leader. The alert fires above 0.',
      queries: [promql('max by (topic) (tollgate_kafka_offline_partitions)', '{{topic}}')],
      unit: 'short',
      badAt: 1,
    }),
    series({
      title: 'Under-replicated partitions',
      description:
        'Partitions with a replica that is not in sync: the next broker that fails can lose records.',
      queries: [promql('max by (topic) (tollgate_kafka_under_replicated_partitions)', '{{topic}}')],
      unit: 'short',
      warnAt: 1,
    }),
    series({
      title: 'Brokers',
      description: 'Brokers of the cluster; 0 while Kafka does not answer.',
      queries: [promql('max(tollgate_kafka_brokers)', 'brokers')],
      unit: 'short',
    }),
    series({
      title: 'Lag by partition',
      description:
        'Records of each partition that its consumer has not committed. One high line: a partition is stuck.',
      queries: [
        promql(
          'max by (group, topic, partition) (tollgate_kafka_partition_lag_records)',
          '{{group}} {{topic}}/{{partition}}',
        ),
      ],
      unit: 'short',
      runbook: 'lag',
    }),
  ];
}

/** Panels on the ClickHouse server, from its system tables. */
export function clickhouseServer(): Panels {
  return [
    table(
      {
        title: 'ClickHouse since its start',
        description:
          'Inserts that were delayed or rejected because of too many parts (must be 0), failed queries, mean time of reads and inserts, and rows that merges handled for each inserted row.',
        queries: [
          sqlTable(`
WITH (SELECT mapFromArrays(groupArray(event), groupArray(value)) FROM system.events) AS of
SELECT of['DelayedInserts'] AS delayed, of['RejectedInserts'] AS rejected, of['FailedQuery'] AS failed,
       of['SelectQueryTimeMicroseconds'] / 1e6 / greatest(of['SelectQuery'], 1) AS read_seconds,
       of['InsertQueryTimeMicroseconds'] / 1e6 / greatest(of['InsertQuery'], 1) AS insert_seconds,
       of['MergedRows'] / greatest(of['InsertedRows'], 1) AS merged_per_row`),
        ],
      },
      {
        delayed: { heading: 'Delayed inserts', warnAt: 1 },
        rejected: { heading: 'Rejected inserts', badAt: 1 },
        failed: { heading: 'Failed queries' },
        read_seconds: { heading: 'Time of a read', unit: 's', warnAt: 1 },
        insert_seconds: { heading: 'Time of an insert', unit: 's', warnAt: 1 },
        merged_per_row: { heading: 'Merged per row', unit: 'short', decimals: 1 },
      },
    ),
    table(
      {
        title: 'Merges in progress',
        description: 'Merges that run now. One that takes hours keeps its parts until it ends.',
        queries: [
          sqlTable(`
SELECT table, round(elapsed) AS seconds, progress, num_parts AS parts, total_size_bytes_compressed AS bytes, memory_usage AS memory
FROM system.merges WHERE database = '\${database}' ORDER BY elapsed DESC`),
        ],
        empty: 'No merge is running',
      },
      {
        table: { heading: 'Table', width: 140 },
        seconds: { heading: 'Runs for', unit: 's' },
        progress: { heading: 'Progress', unit: 'percentunit', bar: true },
        parts: { heading: 'Parts' },
        bytes: { heading: 'Size', unit: 'bytes' },
        memory: { heading: 'Memory', unit: 'bytes' },
      },
    ),
    table(
      {
        title: 'Disks of ClickHouse',
        width: 24,
        description: 'Free space of each disk. Below 10 % merges stop, and inserts fail at 0.',
        queries: [
          sqlTable(
            'SELECT name AS disk, path, free_space AS free, total_space AS total, free_space / greatest(total_space, 1) AS free_share FROM system.disks ORDER BY free_share',
          ),
        ],
      },
      {
        disk: { heading: 'Disk', width: 100 },
        path: { heading: 'Path', width: 200 },
        free: { heading: 'Free', unit: 'bytes' },
        total: { heading: 'Size', unit: 'bytes' },
        free_share: { heading: 'Free share', unit: 'percentunit', bar: true },
      },
    ),
  ];
}
