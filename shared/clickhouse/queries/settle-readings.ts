import { addAmounts } from '../../domain/amount.ts';
import type { Amount } from '../../domain/amount.ts';
import type { QuotaReading } from '../../policy/quota-readings.ts';
import type { ClickHouse } from '../client.ts';
import { readConsumed } from './consumed.ts';
import type { Consumed } from './consumed.ts';

export interface SettledReading extends QuotaReading {
  /** Units consumed in the span. */
  readonly consumed: Amount;
  /** Units consumed since the reset; `consumed` where there was none. */
  readonly sinceReset: Amount;
}

/**
 * Completes readings from ClickHouse: the whole span where it is not known, and what came after a reset. It is asked once
 * for all tenants with the same start, and not at all when nothing is open, which is the usual case.
 */
export async function settleReadings(
  clickhouse: ClickHouse,
  readings: readonly QuotaReading[],
): Promise<SettledReading[]> {
  const units = new Map<string, Amount>();
  for (const [fromMs, tenantIds] of tenantsByStart(readings)) {
    const rows = await readConsumed(clickhouse, { fromMs, tenantIds: [...tenantIds] });
    for (const row of rows) addTo(units, fromMs, row);
  }
  // Where no row came back nothing was consumed.
  const unitsOf = ({ tenantId, quota }: QuotaReading, fromMs: number): Amount => {
    const found = units.get(keyOf(fromMs, tenantId, quota.route));
    return found === undefined ? 0 : found;
  };
  return readings.map((reading) => {
    const consumed = reading.consumed ?? unitsOf(reading, reading.span.startMs);
    const sinceReset = reading.resetAtMs === null ? consumed : unitsOf(reading, reading.resetAtMs);
    return { ...reading, consumed, sinceReset };
  });
}

function tenantsByStart(readings: readonly QuotaReading[]): Map<number, Set<string>> {
  const tenants = new Map<number, Set<string>>();
  for (const { tenantId, consumed, span, resetAtMs } of readings) {
    for (const startMs of [consumed === null ? span.startMs : null, resetAtMs]) {
      if (startMs !== null) tenants.set(startMs, (tenants.get(startMs) ?? new Set()).add(tenantId));
    }
  }
  return tenants;
}

function addTo(units: Map<string, Amount>, fromMs: number, row: Consumed): void {
  for (const route of [null, row.route]) {
    const key = keyOf(fromMs, row.tenant_id, route);
    const known = units.get(key);
    units.set(key, known === undefined ? row.units : addAmounts(known, row.units));
  }
}

function keyOf(fromMs: number, tenantId: string, route: string | null): string {
  return JSON.stringify([fromMs, tenantId, route]);
}
