/** Wall time in Unix milliseconds. Given to everything that decides by time, so that tests can turn it. */
export interface Clock {
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };
