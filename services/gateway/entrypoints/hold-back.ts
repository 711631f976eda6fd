import { setTimeout as pause } from 'node:timers/promises';
import type { Enforcer } from '../enforcer/enforcer.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/** Waits as long as the decision says to hold the request back (slow-down), and counts the wait; at once for none. */
export async function holdBack({ metrics }: Enforcer, { decision: { delayMs } }: Verdict): Promise<void> {
  if (delayMs === 0) return;
  metrics.delaySeconds.observe(delayMs / 1000);
  await pause(delayMs);
}
