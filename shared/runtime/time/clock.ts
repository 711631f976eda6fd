/** Wall time in Unix milliseconds, an argument of all code that depends on time, so that tests can set it. */
export interface Clock {
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };
