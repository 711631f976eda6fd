import { LRUCache } from 'lru-cache';

/** How a count that only grows has grown lately. */
export interface Growth {
  readonly by: number;
  readonly overMs: number;
}

/**
 * Remembers a few readings of each count, so that its recent rate is known. A count that falls (a new period, a reset)
 * starts anew; readings out of order are left out. Bounded in counts and in readings of each.
 */
export interface Pace {
  add(key: string, atMs: number, count: number): void;
  /** Growth over the window, or over what is remembered of it when that is at least `overMsMin`; else null. */
  growth(key: string, overMsMin: number): Growth | null;
}

export interface PaceOptions {
  readonly windowMs: number;
  readonly readingsMax: number;
  readonly keysMax: number;
}

interface Reading {
  readonly atMs: number;
  readonly count: number;
}

export function createPace({ windowMs, readingsMax, keysMax }: PaceOptions): Pace {
  const readings = new LRUCache<string, Reading[]>({ max: keysMax });
  const apartMs = windowMs / readingsMax;
  return { add, growth };

  function add(key: string, atMs: number, count: number): void {
    const kept = readings.get(key) ?? [];
    const newest = kept.at(-1);
    if (newest !== undefined && atMs < newest.atMs) return;
    if (newest !== undefined && count < newest.count) kept.length = 0;
    // The newest reading is always exact; those behind it stand at least `apartMs` from one another.
    const beforeNewest = kept.at(-2);
    if (beforeNewest !== undefined && (kept.at(-1)?.atMs ?? 0) - beforeNewest.atMs < apartMs) kept.pop();
    kept.push({ atMs, count });
    while (kept.length > 2 && (kept[1]?.atMs ?? 0) <= atMs - windowMs) kept.shift();
    readings.set(key, kept);
  }

  function growth(key: string, overMsMin: number): Growth | null {
    const kept = readings.get(key);
    const [oldest, newest] = [kept?.[0], kept?.at(-1)];
    if (oldest === undefined || newest === undefined) return null;
    const overMs = newest.atMs - oldest.atMs;
    return overMs < Math.max(overMsMin, 1) ? null : { by: newest.count - oldest.count, overMs };
  }
}
