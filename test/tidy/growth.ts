import { runInNewContext } from 'node:vm';
import { attacksOn, textOfAttack } from './attack-strings.ts';
import type { Attack } from './attack-strings.ts';

const lengths = [30, 125, 500, 2_000, 8_000, 32_000];
/**
 * Largest allowed ratio of the times for a text and for a quarter of it. It is generous: a quadratic match takes
 * sixteen times as long.
 */
const ratioMax = 9;
/**
 * Times below this are ignored: the resolution of the clock and the load of the machine matter more than the pattern.
 */
const msMin = 4;
const runs = 3;
/** Time limit for all attacks on one pattern together. A linear pattern needs some milliseconds. */
const patienceMs = 4_000;

/** Returns a description of the attack for which a pattern needs more than linear time; null if there is none. */
export function slowestGrowth(expression: RegExp): string | null {
  let now = '';
  const work = (): string | null => {
    for (const attack of attacksOn(expression)) {
      now = JSON.stringify(attack);
      // A pause of the process makes one measurement slow, so a slow attack is measured a second time.
      const found = growthUnder(expression, attack);
      if (found !== null && growthUnder(expression, attack) !== null) return `${now} ${found}`;
    }
    return null;
  };
  try {
    // Runs in a separate context, because only that can be stopped: an exponential match would never end.
    return runInNewContext('work()', { work }, { timeout: patienceMs }) as string | null;
  } catch {
    return `${now} takes more than ${patienceMs} ms`;
  }
}

function growthUnder(expression: RegExp, attack: Attack): string | null {
  let before = Infinity;
  for (const length of lengths) {
    const tookMs = quickestMs(expression, textOfAttack(attack, length));
    if (tookMs > msMin && tookMs > before * ratioMax) {
      return `of ${length} characters takes ${tookMs.toFixed(1)} ms, of a quarter of them ${before.toFixed(1)} ms`;
    }
    before = tookMs;
  }
  return null;
}

/** Returns the shortest time of several runs, because other work of the machine only makes a run longer. */
function quickestMs(expression: RegExp, text: string): number {
  let least = Infinity;
  for (let run = 0; run < runs && (run === 0 || least > msMin); run += 1) {
    const startedAt = performance.now();
    expression.lastIndex = 0;
    expression.test(text);
    least = Math.min(least, performance.now() - startedAt);
  }
  return least;
}
