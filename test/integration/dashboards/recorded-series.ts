import type { View } from './grafana-variables.ts';

/**
 * Series with known values for the metrics that queries read: each label that a query selects or groups by has at least
 * two values. Gauges are constant, and counters grow by `step` in every interval, so that every result can be computed
 * from `step` alone.
 */
export interface Recorded {
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly step: number;
  readonly isCounter: boolean;
}

export const intervalSeconds = 30;
export const buckets = [0.001, 0.01, 0.1, 1, 10, Infinity];

const namePattern = /\b((?:tollgate|process|nodejs)[:_][a-z0-9_:]+|up)\b(?:\{([^}]*)\})?/g;

/** @param queries PromQL without variables. */
export function recordedSeries(queries: readonly string[]): Recorded[] {
  const valuesOf = new Map<string, Map<string, Set<string>>>();
  for (const query of queries) {
    const grouped = [...query.matchAll(/by \(([^)]*)\)/g)].flatMap(([, labels = '']) => labels.split(', '));
    for (const [, metric = '', selectors = ''] of query.matchAll(namePattern)) {
      const labels = valuesOf.get(metric) ?? new Map<string, Set<string>>();
      valuesOf.set(metric, labels);
      const add = (label: string, ...values: string[]): void =>
        void labels.set(label, new Set([...(labels.get(label) ?? []), ...values]));
      add('instance', 'a:1', 'b:1');
      for (const label of grouped) if (label !== 'le') add(label, `${label}-1`, `${label}-2`);
      for (const [, label = '', operator, value = ''] of selectors.matchAll(/(\w+)(=~?)"([^"]*)"/g)) {
        if (operator === '=' && label !== 'le') add(label, value, 'another');
        if (value.startsWith('tollgate-')) add(label, 'tollgate-gateway', 'foreign');
      }
    }
  }
  let step = 0;
  return [...valuesOf].flatMap(([metric, labels]) =>
    combinations(labels).flatMap((set): Recorded[] => {
      step += 1;
      const isCounter = /_(total|sum|count)$/.test(metric);
      if (!metric.endsWith('_bucket')) return [{ metric, labels: set, step, isCounter }];
      return buckets.map((bound, index) => ({
        metric,
        labels: { ...set, le: bound === Infinity ? '+Inf' : String(bound) },
        step: step * (index + 1) * (index + 2),
        isCounter: true,
      }));
    }),
  );
}

function combinations(labels: ReadonlyMap<string, ReadonlySet<string>>): Record<string, string>[] {
  return [...labels].reduce<Record<string, string>[]>(
    (sets, [label, values]) =>
      sets.flatMap((set) => [...values].map((value) => ({ ...set, [label]: value }))),
    [{}],
  );
}

/** The series as OpenMetrics, from which `promtool tsdb create-blocks-from` makes the data of a Prometheus. */
export function openMetrics(series: readonly Recorded[], { fromMs, toMs }: View): string {
  const count = Math.floor((toMs - fromMs) / 1000 / intervalSeconds);
  const lines = series.flatMap(({ metric, labels, step, isCounter }) => {
    const text = Object.entries(labels)
      .map(([label, value]) => `${label}="${value}"`)
      .join(',');
    return Array.from({ length: count + 1 }, (_, index) => {
      const seconds = fromMs / 1000 + index * intervalSeconds;
      return `${metric}{${text}} ${isCounter ? step * index : step} ${seconds}`;
    });
  });
  return `${lines.join('\n')}\n# EOF\n`;
}
