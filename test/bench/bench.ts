/** One benchmark of `npm run bench`. It reports figures and does not judge them. */
export interface Bench {
  /** Identifies the section of docs/benchmarks.md, and selects the benchmark on the command line. */
  readonly name: string;
  readonly title: string;
  /** Returns the Markdown of the section. */
  run(options: BenchOptions): Promise<string>;
}

export interface BenchOptions {
  /** A folder for this run only, removed afterwards. */
  readonly dir: string;
  /** Runs shorter rounds to test the benchmark itself. The figures are printed and not stored. */
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
