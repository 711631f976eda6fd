/**
 * A reading of a clock: the Unix milliseconds that the clock shows when this process's monotonic clock is zero. Clocks
 * that show the same time have equal readings, at whatever moment each was read.
 */
export interface ClockReading {
  readonly name: string;
  readonly baseMs: number;
}

export interface Agreement {
  /** The clock whose time is used; null where no two clocks agree. */
  readonly believed: ClockReading | null;
  /** Names of the clocks that agree with `believed`, which is one of them. */
  readonly agreeing: readonly string[];
  /** Names of the clocks that do not agree with `believed`. */
  readonly wrong: readonly string[];
}

/** Largest difference at which two clocks agree. Clocks that are kept in time differ by much less. */
export const agreeMsMax = 5_000;
/**
 * Largest difference at which a clock that was wrong agrees with a right clock. It is smaller than `agreeMsMax`, so
 * that a clock close to the bound does not change between right and wrong at every comparison.
 */
export const rightAgainMsMax = 1_000;

/**
 * Uses the largest group of clocks that agree, if it has two or more clocks. The readings are in order of trust: of two
 * groups of equal size, the group with the earlier reading is used, and within a group its earliest reading. The node's
 * own clock comes first, so it is corrected only where more clocks contradict it than agree with it.
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
