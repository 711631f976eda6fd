import { Counter, Gauge } from 'prom-client';
import type { Registry } from '../../runtime/http/ops.ts';

export interface SettlementMetrics {
  /** Counts a settlement that will never reach Redis. */
  dropped(): void;
}

export function createSettlementMetrics(registry: Registry, waiting: () => number): SettlementMetrics {
  const registers = [registry];
  const dropped = new Counter({
    name: 'tollgate_settlements_dropped_total',
    help: 'Settlements of reservations that were not sent to Redis because too many waited: the reserved amounts stay charged.',
    registers,
  });
  new Gauge({
    name: 'tollgate_settlements_waiting',
    help: 'Settlements of reservations that are repeated until Redis is available.',
    registers,
    collect() {
      this.set(waiting());
    },
  });
  return { dropped: () => dropped.inc() };
}
