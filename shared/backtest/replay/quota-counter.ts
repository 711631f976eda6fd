import type { Periods } from '../../redis/decision/periods.ts';

/**
 * A calendar quota with the rules of `quota.lua`: one sum for each period, and of the period before as much as the carry-over
 * needs. A quota never goes back to an earlier period.
 */
export class QuotaCounter {
  #startMs = -Infinity;
  #finishMs = -Infinity;
  #used = 0;
  #usedBefore = 0;

  /** Begins the period of `nowMs` if it is later than the current one. */
  advance({ before, start, finish, after }: Periods, nowMs: number): void {
    const [startMs, finishMs] =
      nowMs >= finish ? [finish, after] : nowMs < start ? [before, start] : [start, finish];
    if (startMs <= this.#startMs) return;
    this.#usedBefore = this.#finishMs === startMs ? this.#used : 0;
    [this.#startMs, this.#finishMs, this.#used] = [startMs, finishMs, 0];
  }

  get used(): number {
    return this.#used;
  }

  /**
   * Units of the period before that are added to the limit of this one. A period without usage carries nothing over, as in Redis:
   * it cannot be distinguished from a lost counter.
   */
  carried(base: number, most: number): number {
    return this.#usedBefore > 0 ? Math.min(most, Math.max(0, base - this.#usedBefore)) : 0;
  }

  charge(units: number): void {
    this.#used += units;
  }

  /** Returns units that were charged at `atMs`, if their period is still the current one. */
  returnUnits(units: number, atMs: number): void {
    if (atMs >= this.#startMs) this.#used = Math.max(0, this.#used - units);
  }

  /** Whether the counter has no effect on decisions from `nowMs` on. */
  isOver(nowMs: number): boolean {
    const lastsMs = this.#finishMs - this.#startMs;
    return nowMs >= this.#finishMs + lastsMs;
  }
}
