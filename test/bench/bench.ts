/** One subject of `npm run bench`. Measures and tells; whether a figure is good enough is for its reader. */
export interface Bench {
  /** Names its section of docs/benchmarks.md, and picks it on the command line. */
  readonly name: string;
  readonly title: string;
  /** Answers the section's Markdown. */
  run(options: BenchOptions): Promise<string>;
}

export interface BenchOptions {
  /** A folder of its own, removed afterwards. */
  readonly dir: string;
  /** Shorter rounds, to see that it works; the figures then go nowhere. */
  readonly quick: boolean;
  readonly say: (line: string) => void;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, index) => (index === 0 ? '---' : '---:'))), ...rows.map(line)].join(
    '\n',
  );
}
