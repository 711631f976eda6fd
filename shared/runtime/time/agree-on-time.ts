/** One reading of a clock: Unix milliseconds at the zero of this process's monotonic clock. Clocks that agree have equal bases. */
export interface ClockReading {
  readonly name: string;
  readonly baseMs: number;
}

export interface Agreement {
  /** Clock to use; null if no two clocks agree. */
  readonly believed: ClockReading | null;
  /** Names of clocks that agree with it, itself included. */
  readonly agreeing: readonly string[];
  /** Names of clocks that disagree with it. */
  readonly wrong: readonly string[];
}

/** Correct clocks differ by much less. */
export const agreeMsMax = 5_000;
/** A clock that was wrong counts as right only within this smaller difference, so that its state does not alternate. */
export const rightAgainMsMax = 1_000;

/**
 * Uses the largest group of clocks that agree, if it has two or more. Of two groups of equal size the one with the earlier
 * reading counts, and of a group its first reading. So the clock of the node, which is read first, is corrected only if
 * more clocks agree against it than with it.
 */
export function agreeOnTime(readings: readonly ClockReading[], wrongBefore: readonly string[]): Agreement {
  let best: readonly ClockReading[] = [];
  for (const reading of readings) {
    const group = readings.filter((other) => agrees(reading, other, wrongBefore));
    if (group.length > best.length) best = group;
  }
  const names = readings.map(({ name }) => name);
  if (best.length < 2) return { believed: null, agreeing: [], wrong: readings.length < 2 ? [] : names };
  const agreeing = best.map(({ name }) => name);
  return {
    believed: best[0] ?? null,
    agreeing,
    wrong: names.filter((name) => !agreeing.includes(name)),
  };
}

function agrees(one: ClockReading, other: ClockReading, wrongBefore: readonly string[]): boolean {
  const isSuspect = wrongBefore.includes(one.name) !== wrongBefore.includes(other.name);
  return Math.abs(one.baseMs - other.baseMs) <= (isSuspect ? rightAgainMsMax : agreeMsMax);
}
