import { LRUCache } from 'lru-cache';
import type { JwtKeys } from '../domain/policy.ts';
import type { Clock } from '../runtime/time/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { createKeySet } from './key-set.ts';
import type { KeySet } from './key-set.ts';
import type { IdentityMetrics } from './metrics.ts';

/** Key sets by URL. They outlive the policies that name them: an edit of the policy fetches nothing anew. */
export interface KeySets {
  /** Makes this the one set that is kept fresh. */
  use(keys: Extract<JwtKeys, { kind: 'jwks' }>, algorithms: readonly string[]): KeySet;
  /** Keeps no set fresh: the policy names none. */
  rest(): void;
  current(): KeySet | null;
}

export interface KeySetsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<IdentityMetrics, 'fetches'>;
}

/** Sets whose keys are remembered after the policy has changed to another URL. */
const setsMax = 4;

export function createKeySets({ clock, logger, metrics }: KeySetsOptions): KeySets {
  const byUrl = new LRUCache<string, KeySet>({ max: setsMax });
  let current: KeySet | null = null;
  return { use, rest, current: () => current };

  function use(
    { url, staleMsMax }: Extract<JwtKeys, { kind: 'jwks' }>,
    algorithms: readonly string[],
  ): KeySet {
    const set = byUrl.get(url) ?? createKeySet({ url, clock, logger, metrics });
    byUrl.set(url, set);
    if (set !== current) rest();
    current = set;
    set.keepFresh(algorithms, staleMsMax);
    return set;
  }

  function rest(): void {
    current?.pause();
    current = null;
  }
}
