/** A clock that was read: Unix milliseconds at the zero of this process's monotonic clock. Clocks that agree have equal bases. */
export interface ClockReading {
  readonly name: string;
  readonly baseMs: number;
}

export interface Agreement {
  /** The clock to go by; null where no two agree. */
  readonly believed: ClockReading | null;
  /** Names of clocks that agree with it, itself included. */
  readonly agreeing: readonly string[];
  /** Names of clocks that do not. */
  readonly wrong: readonly string[];
}

/** Clocks of machines that keep time differ by much less. */
export const agreeMsMax = 5_000;
/** A clock that was wrong is right again within this, so that one at the edge does not change sides with every look. */
export const rightAgainMsMax = 1_000;

/**
 * The largest group of clocks that agree is believed, if it has two or more. Earlier readings come first: of two groups of
 * one size the one with the earlier reading is believed, and of a group its earliest. So the node's own clock, read
 * first, is corrected only where more clocks agree against it than with it.
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
