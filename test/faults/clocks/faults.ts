import { setTimeout as pause } from 'node:timers/promises';
import type { SettableClock } from './set-clock.ts';

/** Typical errors of a wall clock: a wrong time zone, a clock whose battery was empty, a step by NTP. */
export const clockErrorsMs = [3_600_000, -3_600_000, 900_000, -900_000, 86_400_000, 7_000, -7_000] as const;

/** Sets the clock `aheadMs` ahead for `forMs`, then corrects it and resolves. */
export async function setClockFor(clock: SettableClock, aheadMs: number, forMs: number): Promise<void> {
  clock.set(aheadMs);
  try {
    await pause(forMs);
  } finally {
    clock.set(0);
  }
}
