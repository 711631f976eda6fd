import type { MeterResult, MeterRow } from '../../../../shared/clickhouse/queries/meters.ts';
import { approximateMoney } from '../../../../shared/domain/money.ts';
import type { UsageReader } from '../../../../shared/tenants/usage-reader.ts';
import { windowStarts } from './wanted-meter.ts';
import type { WantedMeter } from './wanted-meter.ts';

/** Value of a meter for display; null: no event has a value. */
export type MeterValue = number | null;

export interface MeterInterval {
  readonly atMs: number;
  /** Values by value of the group; the key is empty if the meter is not divided. */
  readonly values: ReadonlyMap<string, MeterValue>;
  /** Value of the interval at the same place of the previous span; absent: it is not compared, or had no events. */
  readonly previous: MeterValue | undefined;
}

export interface MeterHistory {
  readonly result: MeterResult;
  readonly intervals: readonly MeterInterval[];
  /** Values of the groups over the span, the largest first; empty if the meter is not divided. */
  readonly groups: readonly { readonly key: string; readonly value: MeterValue }[];
  readonly total: MeterValue;
  /** Value over the previous span; undefined: it is not compared. */
  readonly before: MeterValue | undefined;
}

/** True if values of windows and groups can be added up. */
export function isAdded({ definition }: WantedMeter): boolean {
  return definition.aggregation === 'sum' || definition.aggregation === 'count';
}

/**
 * Reads the values of a meter by window, and over the span. Values over the span are sums of the windows where they can be added up;
 * otherwise, and if windows are missing, they are queries of their own.
 */
export async function readMeterHistory(
  usage: Pick<UsageReader, 'meter'>,
  tenantId: string,
  wanted: WantedMeter,
): Promise<MeterHistory> {
  const { definition, by, query, previous, compare } = wanted;
  const read = (of: typeof query, whole: boolean, groupBy = of.groupBy): Promise<MeterResult> =>
    usage.meter(definition, { ...of, tenantId, groupBy, window: whole ? null : of.window });
  const [result, earlier] = await Promise.all([read(query, false), compare ? read(previous, false) : null]);
  const isSum = isAdded(wanted) && !result.cut;
  const [groups, total, before] = isSum
    ? [result, result, earlier]
    : await Promise.all([
        by === null ? result : read(query, true),
        read(query, true, []),
        compare ? read(previous, true) : null,
      ]);
  return {
    result,
    intervals: intervalsOf(wanted, result, earlier),
    groups: by === null ? [] : sumsByGroup(groups.rows),
    total: sumOf(total.rows.map(valueOf)),
    before: before === null ? undefined : sumOf(before.rows.map(valueOf)),
  };
}

function valueOf({ value }: MeterRow): MeterValue {
  return typeof value === 'bigint' ? approximateMoney(value) : value;
}

/** A meter is divided by at most one group. */
export function keyOf({ group }: MeterRow): string {
  return Object.values(group)[0] ?? '';
}

/** Null if no value is known. Of one value, the value itself. */
export function sumOf(values: readonly MeterValue[]): MeterValue {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
}

function sumsByGroup(rows: readonly MeterRow[]): MeterHistory['groups'] {
  const values = Map.groupBy(rows, keyOf);
  return [...values]
    .map(([key, of]) => ({ key, value: sumOf(of.map(valueOf)) }))
    .toSorted((a, b) => (b.value ?? -Infinity) - (a.value ?? -Infinity) || a.key.localeCompare(b.key));
}

/** The values by window, also of windows without events. */
function intervalsOf(
  { query, previous }: WantedMeter,
  { rows }: MeterResult,
  earlier: MeterResult | null,
): readonly MeterInterval[] {
  const byStart = Map.groupBy(rows, (row) => Date.parse(row.window_start));
  const before = new Map(earlier?.rows.map((row) => [Date.parse(row.window_start), valueOf(row)]));
  const starts = earlier === null ? [] : windowStarts(previous);
  return windowStarts(query).map((atMs, index) => ({
    atMs,
    values: new Map(byStart.get(atMs)?.map((row) => [keyOf(row), valueOf(row)])),
    previous: before.get(starts[index] ?? Number.NaN),
  }));
}
