import { LRUCache } from 'lru-cache';

/** Growth of a count (`by`) over a time (`overMs`). */
export interface Growth {
  readonly by: number;
  readonly overMs: number;
}

/**
 * Recent growth of counts, from a few stored readings of each count. When a count decreases (in a new period, after a
 * reset), its earlier readings are dropped. A reading that is older than the newest one is ignored. The number of
 * counts, and the number of readings of a count, are bounded.
 */
export interface GrowthRates {
  add(key: string, atMs: number, count: number): void;
  /**
   * Returns the growth between the oldest and the newest reading in the window; null if they are less than `overMsMin`
   * apart.
   */
  growth(key: string, overMsMin: number): Growth | null;
}

export interface GrowthRatesOptions {
  readonly windowMs: number;
  readonly readingsMax: number;
  readonly keysMax: number;
}

interface Reading {
  readonly atMs: number;
  readonly count: number;
}

export function createGrowthRates({ windowMs, readingsMax, keysMax }: GrowthRatesOptions): GrowthRates {
  const readings = new LRUCache<string, Reading[]>({ max: keysMax });
  const apartMs = windowMs / readingsMax;
  return { add, growth };

  function add(key: string, atMs: number, count: number): void {
    const kept = readings.get(key) ?? [];
    const newest = kept.at(-1);
    if (newest !== undefined && atMs < newest.atMs) return;
    if (newest !== undefined && count < newest.count) kept.length = 0;
    // The newest reading is always stored. Earlier readings are at least `apartMs` apart.
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
