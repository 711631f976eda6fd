import { LRUCache } from 'lru-cache';
import { Gauge } from 'prom-client';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';

/**
 * Metrics of the difference between Redis and ClickHouse, over the counters that were compared in the last minute, by direction.
 */
export interface Drift {
  /** `units` is the counter in Redis minus the total in ClickHouse: normally positive, because of the events in flight. */
  record(counter: string, units: number): void;
}

const rememberedMs = 60_000;
const countersMax = 50_000;

export function createDrift(registry: Registry, clock: Clock): Drift {
  const latest = new LRUCache<string, { units: number; atMs: number }>({ max: countersMax });
  const measure = (gauge: Gauge<'direction'>, combine: (sum: number, units: number) => number): void => {
    const sums = { ahead: 0, behind: 0 };
    for (const { units, atMs } of latest.values()) {
      if (clock.now() - atMs > rememberedMs) continue;
      if (units > 0) sums.ahead = combine(sums.ahead, units);
      else sums.behind = combine(sums.behind, -units);
    }
    gauge.set({ direction: 'ahead' }, sums.ahead);
    gauge.set({ direction: 'behind' }, sums.behind);
  };
  new Gauge({
    name: 'tollgate_drift_max_units',
    help: 'Largest difference between a quota counter in Redis and its total in ClickHouse among those compared in the last minute, by whether Redis was ahead or behind.',
    labelNames: ['direction'],
    registers: [registry],
    collect() {
      measure(this, Math.max);
    },
  });
  new Gauge({
    name: 'tollgate_drift_units',
    help: 'Sum of the differences between quota counters in Redis and their totals in ClickHouse over those compared in the last minute, by whether Redis was ahead or behind.',
    labelNames: ['direction'],
    registers: [registry],
    collect() {
      measure(this, (sum, units) => sum + units);
    },
  });
  return { record: (counter, units) => void latest.set(counter, { units, atMs: clock.now() }) };
}
