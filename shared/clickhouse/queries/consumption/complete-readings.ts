import type { Amount } from '../../../domain/amount.ts';
import { addCounted, countedAmount, nothingCounted } from '../../../domain/usage/consumption.ts';
import type { CountedAmount } from '../../../domain/usage/consumption.ts';
import type { QuotaReading } from '../../../policy/quota-readings.ts';
import type { ClickHouse } from '../../client.ts';
import { readConsumed } from './consumed.ts';
import type { Consumed } from './consumed.ts';

export interface CompleteReading extends QuotaReading {
  /** Consumed in the quota's current period, in smallest units. */
  readonly consumed: Amount;
  /** Consumed since the last reset in the period; equal to `consumed` if the period has no reset. */
  readonly sinceReset: Amount;
  /** The part of `sinceReset` that belongs to open reservations. */
  readonly reserved: Amount;
}

/**
 * Adds `consumed` and `sinceReset` to each reading. Reads from ClickHouse only what the announced totals do not
 * contain: the usage of the period, or, after a reset, the usage since that reset. Tenants whose time range has the
 * same start share one query. Usually nothing is missing, and no query is sent.
 */
export async function completeReadings(
  clickhouse: ClickHouse,
  readings: readonly QuotaReading[],
): Promise<CompleteReading[]> {
  const rowsOf = new Map<string, Consumed[]>();
  for (const [fromMs, tenantIds] of tenantsByStart(readings)) {
    const rows = await readConsumed(clickhouse, { fromMs, tenantIds: [...tenantIds] });
    for (const row of rows) {
      const key = keyOf(fromMs, row.tenant_id);
      rowsOf.set(key, [...(rowsOf.get(key) ?? []), row]);
    }
  }
  // A tenant without a row has consumed nothing.
  const countedSince = ({ tenantId, quota, quantity }: QuotaReading, fromMs: number): CountedAmount =>
    (rowsOf.get(keyOf(fromMs, tenantId)) ?? [])
      .filter(({ route }) => quota.route === null || quota.route === route)
      .reduce((sum, row) => addCounted(sum, countedAmount(row, quantity)), nothingCounted);
  return readings.map((reading) => {
    const { consumed, reserved } =
      reading.consumed === null ? countedSince(reading, reading.span.startMs) : reading;
    if (reading.resetAtMs === null) return { ...reading, consumed, sinceReset: consumed, reserved };
    const since = countedSince(reading, reading.resetAtMs);
    return { ...reading, consumed, sinceReset: since.consumed, reserved: since.reserved };
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

function keyOf(fromMs: number, tenantId: string): string {
  return `${fromMs} ${tenantId}`;
}
