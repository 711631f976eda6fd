import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';

export interface SpoolMetrics {
  readonly appended: Counter;
  readonly dropped: Counter<'reason'>;
  /** Appended while the disk did not take them. */
  readonly unstored: Counter;
  readonly damagedBytes: Counter;
  readonly writeFailures: Counter;
  readonly writeSeconds: Histogram;
}

export type DropReason = (typeof dropReasons)[number];

const dropReasons = ['full', 'unwritable', 'unreadable', 'stopped'] as const;

/** Read with each scrape. */
export interface SpoolGauges {
  readonly bytes: () => number;
  readonly memoryBytes: () => number;
  readonly isMemoryOnly: () => boolean;
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
  new Gauge({
    name: 'tollgate_spool_memory_bytes',
    help: 'Bytes of events in memory that neither the disk nor Kafka has; some KiB while the disk works.',
    registers,
    collect() {
      this.set(gauges.memoryBytes());
    },
  });
  new Gauge({
    name: 'tollgate_spool_memory_only',
    help: '1 while the disk of the spool takes no events and they are sent to Kafka from memory, else 0.',
    registers,
    collect() {
      this.set(gauges.isMemoryOnly() ? 1 : 0);
    },
  });
  const dropped = new Counter({
    name: 'tollgate_spool_dropped_total',
    help: 'Events lost, by reason: full (the spool), unwritable (the memory, while the disk took nothing), unreadable (damaged or removed on the disk), stopped (in memory when the gateway ended).',
    labelNames: ['reason'],
    registers,
  });
  // A series that is born above zero shows no increase: the first loss would raise no alert.
  for (const reason of dropReasons) dropped.inc({ reason }, 0);
  return {
    appended: new Counter({
      name: 'tollgate_spool_appended_total',
      help: 'Events taken by the spool.',
      registers,
    }),
    dropped,
    unstored: new Counter({
      name: 'tollgate_spool_unstored_total',
      help: 'Events whose response left although the disk did not have them: a crash before Kafka has them loses them.',
      registers,
    }),
    damagedBytes: new Counter({
      name: 'tollgate_spool_damaged_bytes_total',
      help: 'Bytes of corrupt spool data moved to `damaged/`.',
      registers,
    }),
    writeFailures: new Counter({
      name: 'tollgate_spool_write_failures_total',
      help: 'Calls that the disk of the spool refused; the events stay in memory and are tried again.',
      registers,
    }),
    writeSeconds: new Histogram({
      name: 'tollgate_spool_write_seconds',
      help: 'Time of one write, which serves all appends that waited for it.',
      buckets: [0.000005, 0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.001, 0.01, 0.1],
      registers,
    }),
  };
}
