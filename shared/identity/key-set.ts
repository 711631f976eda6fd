import { LRUCache } from 'lru-cache';
import type { CryptoKey, JWSHeaderParameters } from 'jose';
import type { Clock } from '../runtime/time/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { fetchKeys, kidLengthMax } from './fetch-keys.ts';
import type { PublishedKey } from './fetch-keys.ts';
import type { IdentityMetrics } from './metrics.ts';

/**
 * A key that may have signed a token. `live` is false once the issuer has removed the key: cached tokens that were
 * verified with this key are then refused too.
 */
export interface VerificationKey {
  readonly live: boolean;
  resolve(header: JWSHeaderParameters): Promise<CryptoKey>;
}

/** `unknown`: the issuer does not publish the key. `unavailable`: keys could not be fetched. */
export type KeySearch =
  | { readonly kind: 'found'; readonly keys: readonly VerificationKey[] }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'unavailable'; readonly reason: string };

/** The public keys that are published at one URL. */
export interface KeySet {
  /** Finds keys in memory. If the token names a key that is not in memory, fetches the keys first. Never rejects. */
  find(header: JWSHeaderParameters): KeySearch | Promise<KeySearch>;
  /**
   * Fetches keys in the background until `pause` is called. Only keys that are usable for one of `algorithms` are kept.
   */
  keepFresh(algorithms: readonly string[], staleMsMax: number): void;
  pause(): void;
  ageSeconds(): number;
  size(): number;
}

export interface KeySetOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<IdentityMetrics, 'fetches'>;
}

/** Interval of the fetches. A removed key is accepted for at most this time plus the duration of a fetch. */
const refreshMs = 60_000;
/** Shortest time between the starts of two fetches. A new key is accepted after at most this time. */
const spacingMs = 1_000;
const retryMsMax = 30_000;
/**
 * An unknown key id causes at most one fetch each second. After this many fetches without finding the key, the id
 * causes at most one fetch every `slowFetchMs`.
 */
const quickFetchesMax = 5;
const slowFetchMs = 10_000;
const unknownKidsMax = 1_000;
/** Largest number of tokens that wait for one fetch. Further tokens get a 503. */
const waitingMax = 1_000;

interface HeldKey extends VerificationKey {
  live: boolean;
  readonly published: PublishedKey;
}

/**
 * Fetches the keys each minute. While fetching fails, keeps the last keys for up to `staleMsMax`. Only a complete
 * response with usable keys replaces them. A token with an unknown `kid` causes a fetch at once, but at most one each
 * second, so a flood of invented ids cannot overload the issuer. Tokens that were signed with a key in memory never
 * wait.
 */
export function createKeySet({ url, clock, logger, metrics }: KeySetOptions): KeySet {
  const createdMs = clock.now();
  const unknownKids = new LRUCache<string, { misses: number; untilMs: number }>({ max: unknownKidsMax });
  let held: readonly HeldKey[] = [];
  let fetchedMs: number | null = null;
  let startedMs = -Infinity;
  let failure: string | null = null;
  let failures = 0;
  let waiting = 0;
  let fetching: Promise<void> | null = null;
  let timer: NodeJS.Timeout | undefined;
  let bounds: { readonly algorithms: readonly string[]; readonly staleMsMax: number } | null = null;

  return { find, keepFresh, pause, ageSeconds, size: () => held.length };

  function find(header: JWSHeaderParameters): KeySearch | Promise<KeySearch> {
    dropStale();
    const keys = matching(header);
    if (keys.length > 0) return { kind: 'found', keys };
    if (!worthFetching(header.kid)) return missing();
    waiting += 1;
    return refresh()
      .then(() => {
        const fetched = matching(header);
        if (fetched.length > 0) return { kind: 'found' as const, keys: fetched };
        if (failure === null) rememberUnknown(header.kid);
        return missing();
      })
      .finally(() => (waiting -= 1));
  }

  function matching({ kid }: JWSHeaderParameters): readonly HeldKey[] {
    if (typeof kid === 'string') return held.filter(({ published }) => published.kid === kid);
    return held;
  }

  function missing(): KeySearch {
    return failure === null && fetchedMs !== null
      ? { kind: 'unknown' }
      : { kind: 'unavailable', reason: failure ?? 'not fetched yet' };
  }

  function worthFetching(kid: unknown): boolean {
    if (waiting >= waitingMax) return false;
    if (fetching !== null) return true;
    const nowMs = clock.now();
    if (nowMs < startedMs + spacingMs) return false;
    if (typeof kid !== 'string') return held.length === 0;
    return kid.length <= kidLengthMax && nowMs >= (unknownKids.get(kid)?.untilMs ?? 0);
  }

  function rememberUnknown(kid: unknown): void {
    if (typeof kid !== 'string') return;
    const misses = (unknownKids.get(kid)?.misses ?? 0) + 1;
    unknownKids.set(kid, {
      misses,
      untilMs: startedMs + (misses > quickFetchesMax ? slowFetchMs : spacingMs),
    });
  }

  function keepFresh(algorithms: readonly string[], staleMsMax: number): void {
    const same = bounds?.algorithms.join() === algorithms.join();
    bounds = { algorithms, staleMsMax };
    dropStale();
    if (timer === undefined || !same) void refresh();
  }

  function pause(): void {
    clearTimeout(timer);
    timer = undefined;
    bounds = null;
  }

  /** Runs one fetch at a time. Concurrent calls share its result. */
  function refresh(): Promise<void> {
    fetching ??= fetchOnce().finally(() => {
      fetching = null;
      schedule();
    });
    return fetching;
  }

  function schedule(): void {
    clearTimeout(timer);
    if (bounds === null) return;
    const delayMs = failures === 0 ? refreshMs : Math.min(retryMsMax, spacingMs * 2 ** (failures - 1));
    timer = setTimeout(() => void refresh(), delayMs).unref();
  }

  async function fetchOnce(): Promise<void> {
    startedMs = clock.now();
    const fetched = await fetchKeys(url, bounds?.algorithms ?? []);
    if ('keys' in fetched) {
      metrics.fetches.inc({ result: 'ok' });
      replace(fetched.keys);
      [fetchedMs, failure, failures] = [clock.now(), null, 0];
      return;
    }
    metrics.fetches.inc({ result: fetched.failure });
    failures += 1;
    failure = fetched.detail;
    dropStale();
    const fields = { url, reason: fetched.failure, age_seconds: Math.round(ageSeconds()), keys: held.length };
    logger.warn(fields, `public keys for tokens could not be fetched: ${failure}`);
  }

  /** A key that is still published keeps its object, so cached tokens that were verified with it stay valid. */
  function replace(keys: readonly PublishedKey[]): void {
    const before = new Map(held.map((key) => [key.published.identity, key]));
    held = keys.map((published) => {
      const unchanged = before.get(published.identity);
      before.delete(published.identity);
      return unchanged ?? { live: true, published, resolve: (header) => published.resolve(header) };
    });
    for (const removed of before.values()) removed.live = false;
  }

  function dropStale(): void {
    if (bounds === null || fetchedMs === null || clock.now() - fetchedMs <= bounds.staleMsMax) return;
    for (const key of held) key.live = false;
    held = [];
  }

  function ageSeconds(): number {
    return Math.max(0, (clock.now() - (fetchedMs ?? createdMs)) / 1000);
  }
}
