import type { ChartSeries } from '../../components/chart.ts';
import { counted } from '../../../../shared/domain/text/counted.ts';

/** Values of a dimension that have a series of their own in the chart; the others are one series. */
export const seriesMax = 5;
const seriesColours = ['allowed', 'gate', 'good', 'violet', 'post'];

export interface KeyedValues<Interval> {
  /** Values of the dimension, the largest first. */
  readonly keys: readonly string[];
  /** True if `keys` has only the largest values. */
  readonly keysCut?: boolean;
  readonly titleOf: (key: string) => string;
  /** Null: unknown. */
  readonly value: (interval: Interval, key: string) => number | null;
  /** Value of all keys but those with a series of their own; null if values cannot be added. */
  readonly others: ((interval: Interval, own: readonly string[]) => number | null) | null;
  readonly text: (value: number | null) => string;
}

/** The series of a chart that is divided by a dimension. Values that cannot be added are lines, the others are stacked. */
export function seriesByKey<Interval>(values: KeyedValues<Interval>): readonly ChartSeries<Interval>[] {
  const { keys, keysCut = false, titleOf, others, text } = values;
  const own = keys.slice(0, seriesMax);
  const series = (
    title: string,
    colour: string,
    value: (interval: Interval) => number | null,
  ): ChartSeries<Interval> => ({
    ...{ title, colour, value },
    draw: others === null ? 'line' : 'stack',
    text: (interval) => text(value(interval)),
  });
  const named = own.map((key, index) =>
    series(titleOf(key), seriesColours[index] ?? 'previous', (interval) => values.value(interval, key)),
  );
  if (keys.length <= seriesMax || others === null) return named;
  const title = keysCut ? 'All others' : counted(keys.length - seriesMax, 'other');
  return [...named, series(title, 'previous', (interval) => others(interval, own))];
}

/** The series of the period before, as a dashed line. */
export function previousSeries<Interval>(
  value: (interval: Interval) => number | null,
  text: (value: number | null) => string,
): ChartSeries<Interval> {
  return {
    ...{ title: 'Previous period', colour: 'previous', draw: 'dashed', value },
    text: (interval) => text(value(interval)),
  };
}
