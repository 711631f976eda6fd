import { LRUCache } from 'lru-cache';
import type { CryptoKey, JWSHeaderParameters } from 'jose';
import type { Clock } from '../runtime/time/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { fetchKeys, kidLengthMax } from './fetch-keys.ts';
import type { PublishedKey } from './fetch-keys.ts';
import type { IdentityMetrics } from './metrics.ts';

/** A key that may have signed a token. Not `live` any more once its issuer has removed it: tokens it verified end too. */
export interface VerificationKey {
  readonly live: boolean;
  resolve(header: JWSHeaderParameters): Promise<CryptoKey>;
}

/** `unknown`: the issuer has no such key. `unavailable`: the issuer does not say. */
export type KeySearch =
  | { readonly kind: 'found'; readonly keys: readonly VerificationKey[] }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'unavailable'; readonly reason: string };

/** The public keys at one URL. */
export interface KeySet {
  /** Answers from memory; fetches first where the token names a key that is not there. Never rejects. */
  find(header: JWSHeaderParameters): KeySearch | Promise<KeySearch>;
  /** Fetches in the background until `pause`. `algorithms`: what a key must be good for. */
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

/** A removed key is accepted for at most this long, and a fetch. */
const refreshMs = 60_000;
/** Two fetches begin at least this far apart, whatever tokens arrive: also how long a new key may wait. */
const spacingMs = 1_000;
const retryMsMax = 30_000;
/** A key id that no fetch brought is looked for again each second, after so many fetches more rarely. */
const quickLooksMax = 5;
const slowLookMs = 10_000;
const unknownKidsMax = 1_000;
/** Tokens that wait for one fetch; the others are asked to come back. */
const waitingMax = 1_000;

interface HeldKey extends VerificationKey {
  live: boolean;
  readonly published: PublishedKey;
}

/**
 * Keeps the last keys that could be fetched, for `staleMsMax` without a fetch, and replaces them each minute. Only a
 * complete answer with usable keys replaces them. A token with an unknown `kid` causes a fetch at once, at most one a
 * second in all: a flood of invented ids costs the issuer no more than that, and tokens of known keys wait for nothing.
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
    unknownKids.set(kid, { misses, untilMs: startedMs + (misses > quickLooksMax ? slowLookMs : spacingMs) });
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

  /** One fetch at a time, whoever asks. */
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
    logger.warn(fields, `the keys that verify tokens could not be fetched: ${failure}`);
  }

  /** A key that stays keeps its place, and with it the tokens it has verified. */
  function replace(keys: readonly PublishedKey[]): void {
    const before = new Map(held.map((key) => [key.published.identity, key]));
    held = keys.map((published) => {
      const known = before.get(published.identity);
      before.delete(published.identity);
      return known ?? { live: true, published, resolve: (header) => published.resolve(header) };
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
