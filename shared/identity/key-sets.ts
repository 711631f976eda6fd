import { LRUCache } from 'lru-cache';
import type { JwtKeys } from '../domain/policy.ts';
import type { Clock } from '../runtime/time/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { createKeySet } from './key-set.ts';
import type { KeySet } from './key-set.ts';
import type { IdentityMetrics } from './metrics.ts';

/** Key sets by URL. They are independent of policies: an edit that keeps the URL causes no fetch. */
export interface KeySets {
  /** Returns the key set of this URL and refreshes only this set from now on. */
  use(keys: Extract<JwtKeys, { kind: 'jwks' }>, algorithms: readonly string[]): KeySet;
  /** Stops refreshing, because the policy names no URL. */
  pause(): void;
  current(): KeySet | null;
}

export interface KeySetsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<IdentityMetrics, 'fetches'>;
}

/**
 * Largest number of sets in the cache. After a change back to an earlier URL, the keys of that URL are still in memory.
 */
const setsMax = 4;

export function createKeySets({ clock, logger, metrics }: KeySetsOptions): KeySets {
  const byUrl = new LRUCache<string, KeySet>({ max: setsMax });
  let current: KeySet | null = null;
  return { use, pause, current: () => current };

  function use(
    { url, staleMsMax }: Extract<JwtKeys, { kind: 'jwks' }>,
    algorithms: readonly string[],
  ): KeySet {
    const set = byUrl.get(url) ?? createKeySet({ url, clock, logger, metrics });
    byUrl.set(url, set);
    if (set !== current) pause();
    current = set;
    set.keepFresh(algorithms, staleMsMax);
    return set;
  }

  function pause(): void {
    current?.pause();
    current = null;
  }
}
