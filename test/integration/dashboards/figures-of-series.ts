import { buckets, intervalSeconds } from './recorded-series.ts';
import type { Recorded } from './recorded-series.ts';

/** One value of a panel, with the labels that its query groups by; without labels if the panel shows single series. */
export interface Figure {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

type Where = Readonly<Record<string, string>>;

/** Computes figures from the known values of recorded series. */
export interface Figures {
  /** Increase per second. */
  rates(metric: string, by?: readonly string[], where?: Where): Figure[];
  increases(metric: string, minutes: number, by?: readonly string[], where?: Where): Figure[];
  largest(metric: string, by?: readonly string[], where?: Where): Figure[];
  smallest(metric: string): Figure[];
  sums(metric: string, by?: readonly string[]): Figure[];
  /** All series, without their labels. */
  each(metric: string, where?: Where): Figure[];
  quantiles(q: number, histogram: string, by?: readonly string[], where?: Where): Figure[];
}

export function figuresOf(series: readonly Recorded[]): Figures {
  const rows = (metric: string, where: Where = {}): Recorded[] => {
    const found = series.filter(
      (one) =>
        one.metric === metric && Object.entries(where).every(([label, value]) => one.labels[label] === value),
    );
    if (found.length === 0) throw new Error(`no series of ${metric}`);
    return found;
  };
  const grouped = (
    metric: string,
    by: readonly string[],
    where: Where,
    combine: (steps: number[]) => number,
  ): Figure[] => {
    const groups = new Map<string, number[]>();
    for (const { labels, step } of rows(metric, where)) {
      const key = JSON.stringify(by.map((label) => [label, labels[label]]));
      groups.set(key, [...(groups.get(key) ?? []), step]);
    }
    return [...groups].map(([key, steps]) => ({
      labels: Object.fromEntries(JSON.parse(key) as [string, string][]),
      value: combine(steps),
    }));
  };
  const sum = (steps: readonly number[]): number => steps.reduce((total, step) => total + step, 0);
  return {
    rates: (metric, by = [], where = {}) =>
      grouped(metric, by, where, (steps) => sum(steps) / intervalSeconds),
    increases: (metric, minutes, by = [], where = {}) =>
      grouped(metric, by, where, (steps) => (sum(steps) * minutes * 60) / intervalSeconds),
    largest: (metric, by = [], where = {}) => grouped(metric, by, where, (steps) => Math.max(...steps)),
    smallest: (metric) => grouped(metric, [], {}, (steps) => Math.min(...steps)),
    sums: (metric, by = []) => grouped(metric, by, {}, sum),
    each: (metric, where = {}) => rows(metric, where).map(({ step }) => ({ labels: {}, value: step })),
    quantiles: (q, histogram, by = [], where = {}) => {
      const perBucket = buckets.map((bound) =>
        grouped(
          `${histogram}_bucket`,
          by,
          { ...where, le: bound === Infinity ? '+Inf' : String(bound) },
          sum,
        ),
      );
      return (perBucket[0] ?? []).map(({ labels }, group) => ({
        labels,
        value: quantile(
          q,
          perBucket.map((figures) => figures[group]?.value ?? NaN),
        ),
      }));
    },
  };
}

/** The quantile of cumulative counts, by linear interpolation within a bucket; at most the largest finite bound. */
function quantile(q: number, counts: readonly number[]): number {
  const rank = q * (counts.at(-1) ?? NaN);
  const index = counts.findIndex((count) => count >= rank);
  const bound = buckets[index] ?? NaN;
  if (bound === Infinity) return buckets.at(-2) ?? NaN;
  const [lower, below] = index === 0 ? [0, 0] : [buckets[index - 1] ?? NaN, counts[index - 1] ?? NaN];
  return lower + ((bound - lower) * (rank - below)) / ((counts[index] ?? NaN) - below);
}
