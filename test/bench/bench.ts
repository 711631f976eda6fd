import type { FigureName } from './report/figures.ts';

/** One benchmark of `npm run bench`. It reports figures and does not judge them. */
export interface Bench {
  /** Identifies the section of docs/benchmarks.md, and selects the benchmark on the command line. */
  readonly name: string;
  readonly title: string;
  /** False: it takes long and has no row in the table of aims, so it runs only if it is named. */
  readonly isPartOfTable: boolean;
  /** Returns the Markdown of the section. */
  run(options: BenchOptions): Promise<string>;
}

export interface BenchOptions {
  /** A folder for this run only, removed afterwards. */
  readonly dir: string;
  /** Runs shorter rounds to test the benchmark itself. The figures are printed and not stored. */
  readonly quick: boolean;
  /** Waits for an idle core, and repeats disturbed measurements. */
  readonly waits: boolean;
  readonly say: (line: string) => void;
  /** Reports a figure of the table of aims or of the capacity model. */
  readonly record: (name: FigureName, value: number) => void;
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

/** Runs the parts of a benchmark one after the other. A part that fails is reported in its place and does not end the others. */
export async function runParts(
  { say }: BenchOptions,
  parts: Readonly<Record<string, () => Promise<string>>>,
): Promise<string> {
  const sections: string[] = [];
  for (const [name, run] of Object.entries(parts)) {
    try {
      sections.push(await run());
    } catch (error) {
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      say(`  ${name} failed: ${reason}`);
      sections.push(`**Not measured: ${name}**: ${reason.split('\n')[0] ?? ''}`);
    }
  }
  return sections.join('\n\n');
}
