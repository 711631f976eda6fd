import { setTimeout as pause } from 'node:timers/promises';
import type { SettableClock } from './set-clock.ts';

/** Errors of a wall clock: a wrong time zone, an empty battery, a step of NTP. */
export const clockErrorsMs = [3_600_000, -3_600_000, 900_000, -900_000, 86_400_000, 7_000, -7_000] as const;

/** Sets a clock wrong for some time, and right again before this resolves. */
export async function setClockFor(clock: SettableClock, aheadMs: number, forMs: number): Promise<void> {
  clock.set(aheadMs);
  try {
    await pause(forMs);
  } finally {
    clock.set(0);
  }
}
