import { Counter, Gauge } from 'prom-client';
import type { Registry } from '../../runtime/http/ops.ts';
import { createTally } from '../../runtime/tally.ts';

/** What the decision tells about itself. Bounded: no tenant, no limit, no address is a label. */
export interface LimiterMetrics {
  batch(checks: number, seconds: number): void;
  degraded(checks: number): void;
  stampsCorrected(windows: number): void;
  /** A subject whose local units never reach Redis. */
  readonly backfillDropped: () => void;
  serversChanged(unavailable: number, available: boolean, reason: string): void;
}

export function createLimiterMetrics(registry: Registry, live: () => number): LimiterMetrics {
  const registers = [registry];
  const seconds = createTally({
    name: 'tollgate_redis_call_duration_seconds',
    help: 'Time from sending a batch of checks to Redis to its answer.',
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05],
    registry,
  });
  const size = createTally({
    name: 'tollgate_redis_batch_checks',
    help: 'Checks that travelled to Redis in one call.',
    buckets: [1, 2, 4, 8, 16, 32, 64],
    registry,
  });
  const local = new Counter({
    name: 'tollgate_checks_degraded_total',
    help: 'Checks that this node decided by itself because Redis did not answer in time.',
    registers,
  });
  const opened = new Counter({
    name: 'tollgate_redis_breaker_opened_total',
    help: 'Times a Redis server was given up on, by kind of trouble.',
    labelNames: ['reason'],
    registers,
  });
  const corrected = new Counter({
    name: 'tollgate_redis_stamps_corrected_total',
    help: 'Windows in Redis whose stamps were more than a second ahead of the clock of Redis and were moved to now.',
    registers,
  });
  const dropped = new Counter({
    name: 'tollgate_backfill_dropped_total',
    help: 'Subjects whose units, admitted while Redis was away, were not counted into it: too many subjects, or a key that is not what it should be.',
    registers,
  });
  const away = new Gauge({
    name: 'tollgate_redis_servers_away',
    help: 'Redis servers that this node currently decides without.',
    registers,
  });
  new Gauge({
    name: 'tollgate_nodes_live',
    help: 'Nodes that share the limits, as of the last heartbeat that Redis answered.',
    registers,
    collect() {
      this.set(live());
    },
  });
  away.set(0);
  return {
    batch: (checks, took) => {
      size.observe(checks);
      seconds.observe(took);
    },
    degraded: (checks) => local.inc(checks),
    stampsCorrected: (windows) => corrected.inc(windows),
    backfillDropped: () => dropped.inc(),
    serversChanged: (count, available, reason) => {
      away.set(count);
      if (!available) opened.inc({ reason: kindOf(reason) });
    },
  };
}

function kindOf(reason: string): string {
  const known = /^(OOM|READONLY|LOADING|CLUSTERDOWN|MISCONF|BUSY|MASTERDOWN|NOAUTH)/.exec(reason)?.[1];
  if (known !== undefined) return known.toLowerCase();
  return reason.startsWith('no answer') ? 'timeout' : 'connection';
}
