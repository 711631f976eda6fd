import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';

export interface ProducerMetrics {
  readonly records: Counter<'topic'>;
  readonly failures: Counter<'topic' | 'kind'>;
  readonly waiting: Gauge;
  readonly seconds: Histogram;
}

/** Several producers of a process share these; a registry takes each name only once. */
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
      'Attempts to send that failed (error), were acknowledged only in part (unverified), or were refused for good (refused).',
      ['topic', 'kind'],
    ),
    waiting: gauge(registry, 'tollgate_kafka_produce_waiting', 'Sends that wait for the one in flight.', []),
    seconds:
      (registry.getSingleMetric('tollgate_kafka_produce_seconds') as Histogram | undefined) ??
      new Histogram({
        name: 'tollgate_kafka_produce_seconds',
        help: 'Time from handing a batch to Kafka until its last partition was acknowledged.',
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
  readonly buffered: Gauge<'group'>;
  readonly overflows: Counter<'group'>;
}

export function consumerMetrics(registry: Registry): ConsumerMetrics {
  const name = (rest: string): string => `tollgate_kafka_${rest}`;
  return {
    records: counter(registry, name('consumed_records_total'), 'Records handled and committed.', ['group']),
    batches: counter(
      registry,
      name('consumed_batches_total'),
      'Batches by outcome: committed, failed (tried again), abandoned (its partitions moved elsewhere).',
      ['group', 'outcome'],
    ),
    unexpected: counter(
      registry,
      name('unexpected_failures_total'),
      'Attempts to handle records that ended in an error which is neither an outage nor about their content: an error of our own code.',
      ['group'],
    ),
    rebalances: counter(registry, name('rebalances_total'), 'Assignments this member received.', ['group']),
    restarts: counter(
      registry,
      name('consumer_restarts_total'),
      'Times the consumer was thrown away and built anew after an error.',
      ['group'],
    ),
    lagMessages: gauge(
      registry,
      name('lag_messages'),
      'Records on the assigned partitions not committed yet.',
      ['group'],
    ),
    lagSeconds: gauge(registry, name('lag_seconds'), 'Age of the oldest record that is not committed yet.', [
      'group',
    ]),
    buffered: gauge(registry, name('buffered_records'), 'Records fetched and not handled yet.', ['group']),
    overflows: counter(
      registry,
      name('transaction_overflow_records_total'),
      'Records of transactions too large to be held back until they end, which were handled before.',
      ['group'],
    ),
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
      'Dead letters written, by the topic that the record stood on or was meant for. A batch that cannot be decoded is one.',
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
    ready: gauge(registry, 'tollgate_kafka_table_ready', 'Whether the table was read to its end once.', [
      'table',
    ]),
    keys: gauge(registry, 'tollgate_kafka_table_keys', 'Keys of the table.', ['table']),
    unreadable: counter(
      registry,
      'tollgate_kafka_table_unreadable_total',
      'Records of the table that could not be used; the value before stays.',
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
  const known = registry.getSingleMetric(name);
  if (known instanceof Counter) return known;
  return new Counter({ name, help, labelNames, registers: [registry] });
}

function gauge<Label extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: Label[],
): Gauge<Label> {
  const known = registry.getSingleMetric(name);
  if (known instanceof Gauge) return known;
  return new Gauge({ name, help, labelNames, registers: [registry] });
}
