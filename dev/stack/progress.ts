/**
 * Prints the steps of a start. A step that takes longer than one second is printed again and again with its duration.
 */
export interface Progress {
  say(line: string): void;
  /** A step that resolves with null has not started anything, because its program is not installed. */
  step<Result>(name: string, work: () => Promise<Result>): Promise<Result>;
}

const patienceMs = 1_000;
const repeatMs = 5_000;

export function createProgress(write: (line: string) => void): Progress {
  return { say: (line) => write(`  ${line}`), step };

  async function step<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    const startedAt = performance.now();
    const seconds = (): string => ((performance.now() - startedAt) / 1000).toFixed(1);
    const patience = setTimeout(() => write(`  … ${name}`), patienceMs);
    const repeat = setInterval(() => write(`  … ${name} (${seconds()} s)`), repeatMs);
    try {
      const result = await work();
      write(result === null ? `  – ${name} is not installed` : `  ✓ ${name} (${seconds()} s)`);
      return result;
    } finally {
      clearTimeout(patience);
      clearInterval(repeat);
    }
  }
}
