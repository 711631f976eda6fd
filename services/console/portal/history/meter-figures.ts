import type { MeterResult, MeterRow } from '../../../../shared/clickhouse/queries/meters.ts';
import { approximateMoney } from '../../../../shared/domain/money.ts';
import type { UsageReader } from '../../../../shared/tenants/usage-reader.ts';
import { seriesMax } from './key-series.ts';
import { windowStarts } from './wanted-meter.ts';
import type { MeterSpan, WantedMeter } from './wanted-meter.ts';

/** Value of a meter for display; null: no event has a value. */
export type MeterValue = number | null;

/** Groups that the page lists. */
export const groupsMax = 100;

export interface MeterInterval {
  readonly atMs: number;
  /** Values by value of the group; the key is empty if the meter is not divided. */
  readonly values: ReadonlyMap<string, MeterValue>;
  /** Value of all groups together; undefined: `values` has all groups. */
  readonly whole: MeterValue | undefined;
  /** Value of the interval at the same place of the previous span; absent: it is not compared, or had no events. */
  readonly previous: MeterValue | undefined;
}

export interface MeterHistory {
  /** All groups by window. If it is cut, `intervals` has only the groups with a series of their own. */
  readonly result: MeterResult;
  readonly intervals: readonly MeterInterval[];
  /** Values of the groups over the span, the largest first; empty if the meter is not divided. */
  readonly groups: readonly { readonly key: string; readonly value: MeterValue }[];
  /** True if `groups` has only the largest groups, one more than `groupsMax`. */
  readonly groupsCut: boolean;
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
 * otherwise, and if there are too many groups for one result, they are queries of their own. With too many groups, the windows are
 * read again for the largest groups only, because a cut result lacks the latest windows.
 */
export async function readMeterHistory(
  usage: Pick<UsageReader, 'meter'>,
  tenantId: string,
  wanted: WantedMeter,
): Promise<MeterHistory> {
  const { definition, by, query, previous, compare } = wanted;
  const read = (of: MeterSpan, whole: boolean): Promise<MeterResult> =>
    usage.meter(definition, { ...of, tenantId, window: whole ? null : of.window });
  const undivided = { ...query, groupBy: [] };
  const [result, earlier] = await Promise.all([read(query, false), compare ? read(previous, false) : null]);
  const { cut } = result;
  const isSum = isAdded(wanted) && !cut;
  const [groups, total, before] = isSum
    ? [result, result, earlier]
    : await Promise.all([
        by === null ? result : read({ ...query, top: cut ? groupsMax + 1 : null }, true),
        read(undivided, true),
        compare ? read(previous, true) : null,
      ]);
  const [windows, wholeWindows] = cut
    ? await Promise.all([read({ ...query, top: seriesMax }, false), read(undivided, false)])
    : [result, null];
  return {
    result,
    intervals: intervalsOf(wanted, windows, wholeWindows, earlier),
    groups: by === null ? [] : sumsByGroup(groups.rows),
    groupsCut: cut && groups.rows.length > groupsMax,
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
    .toSorted((a, b) => (b.value ?? -Infinity) - (a.value ?? -Infinity) || compareTexts(a.key, b.key));
}

/** Compares as ClickHouse does, so that of equal groups the same ones are the largest. */
function compareTexts(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** The values by window, also of windows without events. */
function intervalsOf(
  { query, previous }: WantedMeter,
  { rows }: MeterResult,
  whole: MeterResult | null,
  earlier: MeterResult | null,
): readonly MeterInterval[] {
  const byStart = Map.groupBy(rows, startOf);
  const wholeByStart = valuesByStart(whole);
  const before = valuesByStart(earlier);
  const starts = earlier === null ? [] : windowStarts(previous);
  return windowStarts(query).map((atMs, index) => ({
    atMs,
    values: new Map(byStart.get(atMs)?.map((row) => [keyOf(row), valueOf(row)])),
    whole: whole === null ? undefined : (wholeByStart.get(atMs) ?? null),
    previous: before.get(starts[index] ?? Number.NaN),
  }));
}

function startOf(row: MeterRow): number {
  return Date.parse(row.window_start);
}

function valuesByStart(result: MeterResult | null): ReadonlyMap<number, MeterValue> {
  return new Map(result?.rows.map((row) => [startOf(row), valueOf(row)]));
}
