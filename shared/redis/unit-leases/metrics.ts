import { Counter } from 'prom-client';
import type { Registry } from '../../runtime/http/ops.ts';

export interface UnitLeaseMetrics {
  granted(units: number): void;
  spent(units: number): void;
  returned(units: number): void;
}

export function createUnitLeaseMetrics(registry: Registry): UnitLeaseMetrics {
  // Plain numbers: a labelled counter costs more time than the decision from a lease.
  const units = { granted: 0, spent: 0, returned: 0 };
  new Counter({
    name: 'tollgate_lease_units_total',
    help: 'Units of windows that this node leased from Redis, spent without a call, and returned unspent.',
    labelNames: ['result'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [result, count] of Object.entries(units)) this.inc({ result }, count);
    },
  });
  return {
    granted: (count) => void (units.granted += count),
    spent: (count) => void (units.spent += count),
    returned: (count) => void (units.returned += count),
  };
}
