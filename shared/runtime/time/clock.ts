/**
 * Wall time in Unix milliseconds. Code that depends on the time receives a clock as an argument, so that tests can set
 * the time.
 */
export interface Clock {
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };
