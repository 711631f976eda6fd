import { readFileSync } from 'node:fs';
import type { RunningContender } from './processes.ts';

export interface Undisturbed {
  /**
   * Measures while nothing else uses the server's core: waits until it is quiet, measures, and measures again where
   * others used more of it than a twentieth meanwhile. Bounded: at last it takes what it got, and counts that.
   */
  measure<Value>(running: RunningContender, attempt: () => Promise<Value>): Promise<Value>;
  /** Measurements that were taken although others were at work. */
  disturbed(): number;
}

const foreignShareMax = 0.05;
const attemptsMax = 6;
const quietWaitMs = 30_000;
const sampleMs = 300;

export function createUndisturbed(serverCore: number): Undisturbed {
  let disturbed = 0;
  return { measure, disturbed: () => disturbed };

  async function measure<Value>(running: RunningContender, attempt: () => Promise<Value>): Promise<Value> {
    for (let count = 1; ; count += 1) {
      await quiet(running);
      const share = foreignShare(running);
      const value = await attempt();
      if (share() <= foreignShareMax) return value;
      if (count < attemptsMax) continue;
      disturbed += 1;
      return value;
    }
  }

  async function quiet(running: RunningContender): Promise<void> {
    const giveUpAt = performance.now() + quietWaitMs;
    let share: () => number;
    do {
      share = foreignShare(running);
      await new Promise((resolve) => setTimeout(resolve, sampleMs));
    } while (share() > foreignShareMax && performance.now() < giveUpAt);
  }

  /** From now on: the share of the server's core that was used by anything but the server. */
  function foreignShare(running: RunningContender): () => number {
    const [at, busy, own] = [performance.now(), busySeconds(serverCore), running.cpuSeconds()];
    return () => {
      const foreign = busySeconds(serverCore) - busy - (running.cpuSeconds() - own);
      return foreign / ((performance.now() - at) / 1000);
    };
  }
}

/** Seconds a core has been busy since the machine started, as Linux counts them: a hundred ticks a second. */
function busySeconds(core: number): number {
  const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'))?.[1] ?? '';
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, softInterrupts = 0, stolen = 0] = line
    .split(' ')
    .map(Number);
  return (user + nice + system + interrupts + softInterrupts + stolen) / 100;
}
