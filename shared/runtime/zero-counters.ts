import type { Counter } from 'prom-client';

/**
 * Creates a series of value 0 for every combination of the values of labels. `increase()` and `rate()` do not count the
 * first value of a series: a counter that begins at 1 loses its first increment, and its alert does not fire.
 */
export function startAtZero<Label extends string>(
  counter: Counter<Label>,
  valuesOf: Readonly<Record<Label, readonly string[]>>,
): Counter<Label> {
  let combinations: Partial<Record<Label, string>>[] = [{}];
  for (const label of Object.keys(valuesOf) as Label[]) {
    combinations = combinations.flatMap((labels) =>
      valuesOf[label].map((value) => ({ ...labels, [label]: value })),
    );
  }
  for (const labels of combinations) counter.inc(labels, 0);
  return counter;
}
