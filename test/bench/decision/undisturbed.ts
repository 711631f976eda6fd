import { readFileSync } from 'node:fs';
import type { RunningContender } from './processes.ts';

type MeasuredProcess = Pick<RunningContender, 'cpuSeconds'>;

export interface Undisturbed {
  /**
   * Measures while no other process uses the server's core: waits until the core is idle, measures, and repeats if
   * others used more than a twentieth of the core meanwhile. The last attempt is used even if it was disturbed.
   */
  measure<Value>(running: MeasuredProcess, attempt: () => Promise<Value>): Promise<Value>;
  /** States in how many of the measurements other processes used the core; empty if in none. */
  report(): string;
}

const otherShareMax = 0.05;
const attemptsMax = 3;
const idleWaitMs = 10_000;
const sampleMs = 300;
/** Longest time for waits and repetitions of all measurements together, so that a run on a busy machine ends too. */
const extraMsMax = 45_000;

/** Without `waits`, nothing is repeated: for a run on a busy machine. */
export function createUndisturbed(serverCore: number, waits = true): Undisturbed {
  let [measurements, disturbed, extraMs] = [0, 0, 0];
  return { measure, report };

  async function measure<Value>(running: MeasuredProcess, attempt: () => Promise<Value>): Promise<Value> {
    for (let count = 1; ; count += 1) {
      if (waits) await waitUntilIdle(running);
      const [share, startedAt] = [otherShare(running), performance.now()];
      const value = await attempt();
      const isDisturbed = share() > otherShareMax;
      if (isDisturbed && waits && count < attemptsMax && extraMs < extraMsMax) {
        extraMs += performance.now() - startedAt;
        continue;
      }
      measurements += 1;
      if (isDisturbed) disturbed += 1;
      return value;
    }
  }

  function report(): string {
    if (disturbed === 0) return '';
    return (
      `Other processes used the server’s core during ${disturbed} of ${measurements} measurements ` +
      `(${waits ? `repeated up to ${attemptsMax - 1} times` : 'not repeated'}), which makes them less reliable.`
    );
  }

  async function waitUntilIdle(running: MeasuredProcess): Promise<void> {
    const startedAt = performance.now();
    const giveUpAt = startedAt + Math.min(idleWaitMs, extraMsMax - extraMs);
    let share: () => number;
    do {
      share = otherShare(running);
      await new Promise((resolve) => setTimeout(resolve, sampleMs));
    } while (share() > otherShareMax && performance.now() < giveUpAt);
    extraMs += Math.max(0, performance.now() - startedAt - 2 * sampleMs);
  }

  /** Returns a function for the share of the server's core that other processes used since this call. */
  function otherShare(running: MeasuredProcess): () => number {
    const [at, busy, own] = [performance.now(), busySeconds(serverCore), running.cpuSeconds()];
    return () => {
      const other = busySeconds(serverCore) - busy - (running.cpuSeconds() - own);
      return other / ((performance.now() - at) / 1000);
    };
  }
}

/** Seconds that a core was busy since boot. Linux counts them in ticks of 10 ms. */
function busySeconds(core: number): number {
  const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'))?.[1] ?? '';
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, softInterrupts = 0, stolen = 0] = line
    .split(' ')
    .map(Number);
  return (user + nice + system + interrupts + softInterrupts + stolen) / 100;
}
