import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import { createTally } from '../../../shared/runtime/tally.ts';
import type { Tally } from '../../../shared/runtime/tally.ts';

export interface SpoolMetrics {
  readonly dropped: Counter<'reason'>;
  /** Counts events that are appended while the disk fails. */
  readonly unstored: Counter;
  readonly damagedBytes: Counter;
  readonly writeFailures: Counter;
  readonly writeSeconds: Tally;
}

export type DropReason = (typeof dropReasons)[number];

const dropReasons = ['full', 'unwritable', 'unreadable', 'stopped'] as const;

/** Functions that return the current values at each scrape. */
export interface SpoolGauges {
  /** Number of events that this process has appended. */
  readonly appended: () => number;
  readonly bytes: () => number;
  readonly memoryBytes: () => number;
  readonly isMemoryOnly: () => boolean;
  readonly oldestAgeSeconds: () => number;
}

export function spoolMetrics(registry: Registry, gauges: SpoolGauges): SpoolMetrics {
  const registers = [registry];
  new Gauge({
    name: 'tollgate_spool_bytes',
    help: 'Bytes of the files with events that Kafka does not have.',
    registers,
    collect() {
      this.set(gauges.bytes());
    },
  });
  new Gauge({
    name: 'tollgate_spool_oldest_age_seconds',
    help: 'Age of the oldest event that Kafka has not acknowledged; 0 when Kafka has all events.',
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
    help: '1 while the disk of the spool fails and events are sent to Kafka from memory, else 0.',
    registers,
    collect() {
      this.set(gauges.isMemoryOnly() ? 1 : 0);
    },
  });
  const dropped = new Counter({
    name: 'tollgate_spool_dropped_total',
    help: 'Events lost, by reason: full (the spool exceeded its bound), unwritable (the memory exceeded its bound while the disk failed), unreadable (damaged or removed on the disk), stopped (in memory when the gateway ended).',
    labelNames: ['reason'],
    registers,
  });
  // The series exist with the value 0 from the start. Otherwise the first loss would not be an increase and
  // would raise no alert.
  for (const reason of dropReasons) dropped.inc({ reason }, 0);
  // The spool counts its appends, because incrementing a counter costs more time per event.
  let collected = 0;
  new Counter({
    name: 'tollgate_spool_appended_total',
    help: 'Events appended to the spool.',
    registers,
    collect() {
      const appended = gauges.appended();
      this.inc(appended - collected);
      collected = appended;
    },
  });
  return {
    dropped,
    unstored: new Counter({
      name: 'tollgate_spool_unstored_total',
      help: 'Events whose response was sent before the disk had them; a crash before Kafka has them loses them.',
      registers,
    }),
    damagedBytes: new Counter({
      name: 'tollgate_spool_damaged_bytes_total',
      help: 'Bytes of corrupt spool data moved to `damaged/`.',
      registers,
    }),
    writeFailures: new Counter({
      name: 'tollgate_spool_write_failures_total',
      help: 'Failed calls to the disk of the spool; the events stay in memory and the write is retried.',
      registers,
    }),
    writeSeconds: createTally({
      name: 'tollgate_spool_write_seconds',
      help: 'Duration of one write, which stores all appends that waited for it.',
      buckets: [0.000005, 0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.001, 0.01, 0.1, 0.5, 1, 5],
      registry,
    }),
  };
}
