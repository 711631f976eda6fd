import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';

export interface SpoolMetrics {
  readonly appended: Counter;
  readonly dropped: Counter<'reason'>;
  readonly damagedBytes: Counter;
  readonly writeFailures: Counter;
  readonly writeSeconds: Histogram;
}

/** What is read when somebody looks. */
export interface SpoolGauges {
  readonly bytes: () => number;
  readonly oldestAgeSeconds: () => number;
}

export function spoolMetrics(registry: Registry, gauges: SpoolGauges): SpoolMetrics {
  const registers = [registry];
  new Gauge({
    name: 'tollgate_spool_bytes',
    help: 'Bytes of the files that hold events on their way to Kafka.',
    registers,
    collect() {
      this.set(gauges.bytes());
    },
  });
  new Gauge({
    name: 'tollgate_spool_oldest_age_seconds',
    help: 'Age of the oldest event that Kafka has not acknowledged; 0 when it has all.',
    registers,
    collect() {
      this.set(gauges.oldestAgeSeconds());
    },
  });
  const dropped = new Counter({
    name: 'tollgate_spool_dropped_total',
    help: 'Events lost because the spool was full or the disk took nothing for too long.',
    labelNames: ['reason'],
    registers,
  });
  // A series that is born above zero shows no increase: the first loss would raise no alert.
  for (const reason of ['full', 'unwritable']) dropped.inc({ reason }, 0);
  return {
    appended: new Counter({
      name: 'tollgate_spool_appended_total',
      help: 'Events taken by the spool.',
      registers,
    }),
    dropped,
    damagedBytes: new Counter({
      name: 'tollgate_spool_damaged_bytes_total',
      help: 'Bytes that were no record any more and were put aside.',
      registers,
    }),
    writeFailures: new Counter({
      name: 'tollgate_spool_write_failures_total',
      help: 'Writes or syncs that the disk refused; the events stay in memory and are tried again.',
      registers,
    }),
    writeSeconds: new Histogram({
      name: 'tollgate_spool_write_seconds',
      help: 'Time of the one write that serves the appends of a turn.',
      buckets: [0.000005, 0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.001, 0.01, 0.1],
      registers,
    }),
  };
}
