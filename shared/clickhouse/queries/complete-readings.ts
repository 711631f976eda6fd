import { addAmounts } from '../../domain/amount.ts';
import type { Amount } from '../../domain/amount.ts';
import type { QuotaReading } from '../../policy/quota-readings.ts';
import type { ClickHouse } from '../client.ts';
import { readConsumed } from './consumed.ts';
import type { Consumed } from './consumed.ts';

export interface CompleteReading extends QuotaReading {
  /** Units consumed in the quota's current period. */
  readonly consumed: Amount;
  /** Units consumed since the last reset in the period; equal to `consumed` if the period has no reset. */
  readonly sinceReset: Amount;
}

/**
 * Adds `consumed` and `sinceReset` to each reading. Reads from ClickHouse only what the announced totals do not
 * contain: the units of the period, or, after a reset, the units since that reset. Tenants whose time range has the
 * same start share one query. Usually nothing is missing, and no query is sent.
 */
export async function completeReadings(
  clickhouse: ClickHouse,
  readings: readonly QuotaReading[],
): Promise<CompleteReading[]> {
  const units = new Map<string, Amount>();
  for (const [fromMs, tenantIds] of tenantsByStart(readings)) {
    const rows = await readConsumed(clickhouse, { fromMs, tenantIds: [...tenantIds] });
    for (const row of rows) addTo(units, fromMs, row);
  }
  // A tenant without a row has consumed nothing.
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
    const sum = units.get(key);
    units.set(key, sum === undefined ? row.units : addAmounts(sum, row.units));
  }
}

function keyOf(fromMs: number, tenantId: string, route: string | null): string {
  return JSON.stringify([fromMs, tenantId, route]);
}
