import { readFileSync } from 'node:fs';
import type { RunningContender } from './processes.ts';

export interface Undisturbed {
  /**
   * Measures while no other process uses the server's core: waits until the core is idle, measures, and repeats if
   * others used more than a twentieth of the core meanwhile. The last attempt is used even if it was disturbed.
   */
  measure<Value>(running: RunningContender, attempt: () => Promise<Value>): Promise<Value>;
  /** Number of accepted measurements during which other processes used the core. */
  disturbed(): number;
}

const otherShareMax = 0.05;
const attemptsMax = 6;
const idleWaitMs = 30_000;
const sampleMs = 300;

/** Without `waits`, nothing is repeated: for tests of a benchmark on a busy machine. */
export function createUndisturbed(serverCore: number, waits = true): Undisturbed {
  let disturbed = 0;
  return { measure, disturbed: () => disturbed };

  async function measure<Value>(running: RunningContender, attempt: () => Promise<Value>): Promise<Value> {
    for (let count = 1; ; count += 1) {
      if (waits) await waitUntilIdle(running);
      const share = otherShare(running);
      const value = await attempt();
      if (share() <= otherShareMax) return value;
      if (waits && count < attemptsMax) continue;
      disturbed += 1;
      return value;
    }
  }

  async function waitUntilIdle(running: RunningContender): Promise<void> {
    const giveUpAt = performance.now() + idleWaitMs;
    let share: () => number;
    do {
      share = otherShare(running);
      await new Promise((resolve) => setTimeout(resolve, sampleMs));
    } while (share() > otherShareMax && performance.now() < giveUpAt);
  }

  /** Returns a function for the share of the server's core that other processes used since this call. */
  function otherShare(running: RunningContender): () => number {
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
