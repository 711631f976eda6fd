import { createChangeSignal } from './change-signal.ts';

/** A queue from one stage to the next stage. */
export interface HandOver<Item> {
  push(item: Item): void;
  /**
   * Returns the items that wait, at least one and at most `itemsMax`, once `waitMs` is 0. `sinceMs` is the time at which
   * the first of them arrived. Returns null after `end` when no item waits.
   */
  take(
    itemsMax: number,
    waitMs: (waiting: readonly Item[], sinceMs: number) => number,
  ): Promise<readonly Item[] | null>;
  /** Notes that the result of `waitMs` may have changed. */
  recheck(): void;
  end(): void;
}

export function createHandOver<Item>(): HandOver<Item> {
  const waiting: Item[] = [];
  /** The times at which the waiting items arrived. */
  const arrivedAt: number[] = [];
  let isEnded = false;
  const changed = createChangeSignal();
  return {
    push(item) {
      waiting.push(item);
      arrivedAt.push(performance.now());
      changed.notify();
    },
    async take(itemsMax, waitMs) {
      for (;;) {
        const [sinceMs] = arrivedAt;
        if (sinceMs === undefined && isEnded) return null;
        const ms = sinceMs === undefined ? Infinity : isEnded ? 0 : waitMs(waiting, sinceMs);
        if (ms <= 0) {
          const count = Math.min(itemsMax, waiting.length);
          arrivedAt.splice(0, count);
          return waiting.splice(0, count);
        }
        await changed.wait(ms);
      }
    },
    recheck: () => changed.notify(),
    end() {
      isEnded = true;
      changed.notify();
    },
  };
}
