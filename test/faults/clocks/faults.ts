import { setTimeout as passing } from 'node:timers/promises';
import type { SettableClock } from './set-clock.ts';

/** How far the wall clock of a server or a service may be thrown: a wrong zone, a lost battery, a step of NTP. */
export const clockErrorsMs = [3_600_000, -3_600_000, 900_000, -900_000, 86_400_000, 7_000, -7_000] as const;

/** A clock that is wrong for a while, and right again when this resolves. */
export async function setClockFor(clock: SettableClock, aheadMs: number, forMs: number): Promise<void> {
  clock.set(aheadMs);
  try {
    await passing(forMs);
  } finally {
    clock.set(0);
  }
}
