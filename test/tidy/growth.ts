import { runInNewContext } from 'node:vm';
import { attacksOn, textOfAttack } from './attack-strings.ts';
import type { Attack } from './attack-strings.ts';

const lengths = [30, 125, 500, 2_000, 8_000, 32_000];
/** Four times the text may take this much longer: generous, since a quadratic match takes sixteen times as long. */
const ratioMax = 9;
/** Below this a clock and a busy machine say more than the pattern. */
const msMin = 4;
const runs = 3;
/** For all attacks on one pattern together: a linear one needs some milliseconds. */
const patienceMs = 4_000;

/** The attack that shows a pattern to be more than linear, in words; null where none does. */
export function slowestGrowth(expression: RegExp): string | null {
  let now = '';
  const work = (): string | null => {
    for (const attack of attacksOn(expression)) {
      now = JSON.stringify(attack);
      // A process that stood still for a moment looks slow once, and not again.
      const found = growthUnder(expression, attack);
      if (found !== null && growthUnder(expression, attack) !== null) return `${now} ${found}`;
    }
    return null;
  };
  try {
    // In a context of its own, because only that can be stopped: an exponential match would never end.
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

/** The least of several runs: whatever else the machine does only adds to it. */
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
