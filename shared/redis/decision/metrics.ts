import { Counter, Gauge } from 'prom-client';
import type { Registry } from '../../runtime/http/ops.ts';
import { createTally } from '../../runtime/tally.ts';
import { startAtZero } from '../../runtime/zero-counters.ts';

/** Metrics of the limiter. The number of series is bounded, because no tenant, limit or address is a label. */
export interface LimiterMetrics {
  batch(checks: number, seconds: number): void;
  degraded(checks: number): void;
  timestampsCorrected(windows: number): void;
  /** Counts a subject whose units were admitted without Redis and will never be counted into Redis. */
  readonly backfillDropped: () => void;
  serversChanged(unavailable: number, available: boolean, reason: string): void;
}

export function createLimiterMetrics(registry: Registry, liveNodes: () => number): LimiterMetrics {
  const registers = [registry];
  const seconds = createTally({
    name: 'tollgate_redis_call_duration_seconds',
    help: 'Time from sending a batch of checks to Redis to its reply.',
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    registry,
  });
  const size = createTally({
    name: 'tollgate_redis_batch_checks',
    help: 'Checks sent to Redis in one call.',
    buckets: [1, 2, 4, 8, 16, 32, 64],
    registry,
  });
  const local = new Counter({
    name: 'tollgate_checks_degraded_total',
    help: 'Checks that this node decided without Redis because Redis did not answer in time.',
    registers,
  });
  const opened = startAtZero(
    new Counter({
      name: 'tollgate_redis_breaker_opened_total',
      help: 'Times the circuit breaker of a Redis server opened, by reason.',
      labelNames: ['reason'],
      registers,
    }),
    { reason: ['timeout', 'connection'] },
  );
  const corrected = new Counter({
    name: 'tollgate_redis_stamps_corrected_total',
    help: 'Windows in Redis with timestamps more than a second ahead of the clock of Redis, which were moved to now.',
    registers,
  });
  const dropped = new Counter({
    name: 'tollgate_backfill_dropped_total',
    help: 'Subjects whose units, admitted without Redis, were not counted into it: too many subjects, or a key of a wrong type.',
    registers,
  });
  const unavailable = new Gauge({
    name: 'tollgate_redis_servers_away',
    help: 'Redis servers whose circuit breaker is open: this node decides their requests without them.',
    registers,
  });
  new Gauge({
    name: 'tollgate_nodes_live',
    help: 'Nodes that share the limits, as of the last heartbeat that Redis answered.',
    registers,
    collect() {
      this.set(liveNodes());
    },
  });
  unavailable.set(0);
  return {
    batch: (checks, callSeconds) => {
      size.observe(checks);
      seconds.observe(callSeconds);
    },
    degraded: (checks) => local.inc(checks),
    timestampsCorrected: (windows) => corrected.inc(windows),
    backfillDropped: () => dropped.inc(),
    serversChanged: (count, available, reason) => {
      unavailable.set(count);
      if (!available) opened.inc({ reason: kindOf(reason) });
    },
  };
}

function kindOf(reason: string): string {
  const known = /^(OOM|READONLY|LOADING|CLUSTERDOWN|MISCONF|BUSY|MASTERDOWN|NOAUTH)/.exec(reason)?.[1];
  if (known !== undefined) return known.toLowerCase();
  return reason.startsWith('no answer') ? 'timeout' : 'connection';
}
