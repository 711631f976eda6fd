import type { HistoryQuery, HistoryRow } from '../../../../shared/clickhouse/queries/portal/usage-history.ts';
import { addAmounts } from '../../../../shared/domain/amount.ts';
import { approximateMoney } from '../../../../shared/domain/money.ts';
import { percent } from '../../components/format.ts';
import { intervalsOf } from './wanted-history.ts';
import type { HistoryMetric } from './wanted-history.ts';

/** Usage of several intervals or dimensions together. */
export type HistorySums = Omit<HistoryRow, 'at_ms' | 'key' | 'latency_p95'>;

export const noUsage: HistorySums = { requests: 0, limited: 0, errors: 0, units: 0, cost: 0n };

export function addUsage(a: HistorySums, b: HistorySums): HistorySums {
  return {
    requests: a.requests + b.requests,
    limited: a.limited + b.limited,
    errors: a.errors + b.errors,
    units: addAmounts(a.units, b.units),
    cost: a.cost + b.cost,
  };
}

/** The value of a metric; null if it is unknown. Percentiles of several rows cannot be added. */
export function valueOf(metric: HistoryMetric, row: HistorySums & Partial<HistoryRow>): number | null {
  if (metric === 'latency') return row.latency_p95 ?? null;
  return metric === 'cost' ? approximateMoney(row.cost) : row[metric];
}

/** Sums by value of the dimension, the largest first. */
export function sumsByKey(rows: readonly HistoryRow[]): readonly (HistorySums & { readonly key: string })[] {
  const sums = new Map<string, HistorySums>();
  for (const row of rows) sums.set(row.key, addUsage(sums.get(row.key) ?? noUsage, row));
  return [...sums]
    .map(([key, sum]) => ({ key, ...sum }))
    .toSorted((a, b) => b.requests - a.requests || a.key.localeCompare(b.key));
}

export interface HistoryInterval {
  readonly atMs: number;
  /** Rows of the interval by value of the dimension. */
  readonly rows: ReadonlyMap<string, HistoryRow>;
  /** The interval at the same place of the previous span; absent: it is not compared, or had no usage. */
  readonly previous: HistoryRow | undefined;
}

/** The rows by interval, also of intervals without usage. */
export function byInterval(
  query: HistoryQuery,
  rows: readonly HistoryRow[],
  previous: { readonly query: HistoryQuery; readonly rows: readonly HistoryRow[] } | null,
): readonly HistoryInterval[] {
  const at = new Map<number, Map<string, HistoryRow>>();
  for (const row of rows) {
    const found = at.get(row.at_ms);
    if (found === undefined) at.set(row.at_ms, new Map([[row.key, row]]));
    else found.set(row.key, row);
  }
  const before = new Map(previous?.rows.map((row) => [row.at_ms, row]));
  const starts = previous === null ? [] : intervalsOf(previous.query);
  return intervalsOf(query).map((atMs, index) => ({
    atMs,
    rows: at.get(atMs) ?? new Map<string, HistoryRow>(),
    previous: before.get(starts[index] ?? Number.NaN),
  }));
}

/** Change against the previous period: `+12 %`. */
export function changeText(now: number, before: number): string {
  if (before === 0) return now === 0 ? '±0 %' : 'new';
  const part = now / before - 1;
  return `${part >= 0 ? '+' : '−'}${percent(Math.abs(part))}`;
}
