import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import type { PartitionLag } from './consumer/watchdog.ts';

export interface ProducerMetrics {
  readonly records: Counter<'topic'>;
  readonly failures: Counter<'topic' | 'kind'>;
  readonly waiting: Gauge;
  readonly seconds: Histogram;
}

/** Creates the counters of failed sends to a topic with the value 0. */
export function startFailures({ failures }: ProducerMetrics, topic: string): void {
  for (const kind of ['error', 'unverified', 'refused']) failures.inc({ topic, kind }, 0);
}

/** The metrics are shared by all producers of a process, because a registry accepts each name only once. */
export function producerMetrics(registry: Registry): ProducerMetrics {
  return {
    records: counter(
      registry,
      'tollgate_kafka_produced_records_total',
      'Records that Kafka acknowledged, verified partition by partition.',
      ['topic'],
    ),
    failures: counter(
      registry,
      'tollgate_kafka_produce_failures_total',
      'Failed attempts to send: error (retried), unverified (only some partitions acknowledged), refused (Kafka never accepts the record).',
      ['topic', 'kind'],
    ),
    waiting: gauge(
      registry,
      'tollgate_kafka_produce_waiting',
      'Sends that wait for the send in progress.',
      [],
    ),
    seconds:
      (registry.getSingleMetric('tollgate_kafka_produce_seconds') as Histogram | undefined) ??
      new Histogram({
        name: 'tollgate_kafka_produce_seconds',
        help: 'Time from the start of a send to the acknowledgement of its last partition, retries included.',
        buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
        registers: [registry],
      }),
  };
}

export interface ConsumerMetrics {
  readonly records: Counter<'group'>;
  readonly batches: Counter<'group' | 'outcome'>;
  readonly unexpected: Counter<'group'>;
  readonly rebalances: Counter<'group'>;
  readonly restarts: Counter<'group'>;
  readonly lagMessages: Gauge<'group'>;
  readonly lagSeconds: Gauge<'group'>;
  /** Sets the lag of the partitions of a group, and removes the series of partitions that it no longer has. */
  readonly partitionLag: (group: string, partitions: readonly PartitionLag[]) => void;
  readonly buffered: Gauge<'group'>;
  readonly overflows: Counter<'group'>;
}

/** The counters of `group` exist with the value 0 from the start, because alerts and panels read their increase. */
export function consumerMetrics(registry: Registry, group: string): ConsumerMetrics {
  const metrics = registeredConsumerMetrics(registry);
  const { records, unexpected, rebalances, restarts, batches, overflows } = metrics;
  for (const metric of [records, unexpected, rebalances, restarts, overflows]) metric.inc({ group }, 0);
  for (const outcome of ['committed', 'failed', 'abandoned']) batches.inc({ group, outcome }, 0);
  return metrics;
}

/** Counts the restarts of a consumer that is no member of a group of its own, e.g. of a table. */
export function restartCounter(registry: Registry, group: string): Counter<'group'> {
  const { restarts } = registeredConsumerMetrics(registry);
  restarts.inc({ group }, 0);
  return restarts;
}

function registeredConsumerMetrics(registry: Registry): ConsumerMetrics {
  const name = (suffix: string): string => `tollgate_kafka_${suffix}`;
  return {
    records: counter(registry, name('consumed_records_total'), 'Records handled and committed.', ['group']),
    batches: counter(
      registry,
      name('consumed_batches_total'),
      'Batches by outcome: committed, failed (retried), abandoned (its partitions moved to another member).',
      ['group', 'outcome'],
    ),
    unexpected: counter(
      registry,
      name('unexpected_failures_total'),
      'Attempts to handle records that failed with an error of Tollgate itself, neither an outage nor the content of a record.',
      ['group'],
    ),
    rebalances: counter(registry, name('rebalances_total'), 'Assignments this member received.', ['group']),
    restarts: counter(
      registry,
      name('consumer_restarts_total'),
      'Times that the consumer was replaced after an error.',
      ['group'],
    ),
    lagMessages: gauge(
      registry,
      name('lag_messages'),
      'Records on the assigned partitions that are not committed.',
      ['group'],
    ),
    lagSeconds: gauge(registry, name('lag_seconds'), 'Age of the oldest record that is not committed.', [
      'group',
    ]),
    partitionLag: partitionLagSetter(
      gauge(
        registry,
        name('partition_lag_records'),
        'Records of an assigned partition that are not committed.',
        ['group', 'topic', 'partition'],
      ),
    ),
    buffered: gauge(registry, name('buffered_records'), 'Records that are fetched and not handled.', [
      'group',
    ]),
    overflows: counter(
      registry,
      name('transaction_overflow_records_total'),
      'Records of open transactions that were handled before the end of the transaction, because the transaction was too large to hold.',
      ['group'],
    ),
  };
}

function partitionLagSetter(metric: Gauge<'group' | 'topic' | 'partition'>): ConsumerMetrics['partitionLag'] {
  let before: readonly PartitionLag[] = [];
  return (group, partitions) => {
    for (const { topic, partition } of before) metric.remove(group, topic, String(partition));
    for (const { topic, partition, messages } of partitions)
      metric.set({ group, topic, partition: String(partition) }, messages);
    before = partitions;
  };
}

export interface DeadLetterMetrics {
  readonly letters: Counter<'topic'>;
}

export function deadLetterMetrics(registry: Registry): DeadLetterMetrics {
  return {
    letters: counter(
      registry,
      'tollgate_dead_letters_total',
      'Dead letters written, by the topic of the record. A batch that cannot be decoded counts as one.',
      ['topic'],
    ),
  };
}

export interface TableMetrics {
  readonly ready: Gauge<'table'>;
  readonly keys: Gauge<'table'>;
  readonly unreadable: Counter<'table'>;
}

export function tableMetrics(registry: Registry): TableMetrics {
  return {
    ready: gauge(registry, 'tollgate_kafka_table_ready', '1 once the table was read to its end.', ['table']),
    keys: gauge(registry, 'tollgate_kafka_table_keys', 'Keys in the table.', ['table']),
    unreadable: counter(
      registry,
      'tollgate_kafka_table_unreadable_total',
      'Invalid records of the table; the value before stays.',
      ['table'],
    ),
  };
}

function counter<Label extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: Label[],
): Counter<Label> {
  const registered = registry.getSingleMetric(name);
  if (registered instanceof Counter) return registered;
  return new Counter({ name, help, labelNames, registers: [registry] });
}

function gauge<Label extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: Label[],
): Gauge<Label> {
  const registered = registry.getSingleMetric(name);
  if (registered instanceof Gauge) return registered;
  return new Gauge({ name, help, labelNames, registers: [registry] });
}
