import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { KeyHolder } from '../domain/tenant.ts';
import type { Clock } from '../runtime/time/clock.ts';
import type { CallerReading, RefusedReading } from './reading.ts';
import { badCredential, undecidedCredential } from './refusal.ts';
import type { CredentialRefusal } from './refusal.ts';

/** Every API key begins with it. */
export const apiKeyPrefix = 'tgk_';

/** The tenants' keys as this process knows them: no lookup leaves it. */
export interface KeyDirectory {
  byApiKeyHash(sha256Hex: string): KeyHolder | undefined;
  /** False while records may still be missing. */
  ready(): boolean;
}

export interface ApiKeys {
  read(key: string): CallerReading | RefusedReading;
}

/** Digests of known keys that are kept, each of a key of at most so many characters: a few megabytes. */
const digestsMax = 20_000;
const digestKeyLengthMax = 128;

interface Seen {
  readonly digest: string;
  readonly holder: KeyHolder;
  readonly reading: CallerReading;
}

/** A returning key costs no digest. Whose it is is looked up each time, so that a revoked key is unknown at once. */
export function createApiKeys(directory: KeyDirectory, clock: Clock): ApiKeys {
  const seenKeys = new LRUCache<string, Seen>({ max: digestsMax });
  return { read };

  function read(key: string): CallerReading | RefusedReading {
    const seen = seenKeys.get(key);
    const digest = seen?.digest ?? hashApiKey(key);
    const holder = directory.byApiKeyHash(digest);
    if (holder === undefined) return { kind: 'refused', refusal: unknownKey() };
    const { expiresAtMs } = holder;
    if (expiresAtMs !== Infinity && expiresAtMs <= clock.now())
      return { kind: 'refused', refusal: expiredKey(expiresAtMs) };
    if (seen?.holder === holder) return seen.reading;
    const reading = readingOf(holder);
    // Only known keys are kept: a flood of guesses drives none of them out.
    if (key.length <= digestKeyLengthMax) seenKeys.set(key, { digest, holder, reading });
    return reading;
  }

  function unknownKey(): CredentialRefusal {
    return directory.ready()
      ? badCredential('The API key is not known.')
      : undecidedCredential('The API key cannot be looked up yet; try again in a moment.');
  }
}

function readingOf({ record, expiresAtMs }: KeyHolder): CallerReading {
  const claims = { tenantId: record.tenant_id, userId: null, plan: null };
  return { kind: 'caller', method: 'api_key', claims, untilMs: expiresAtMs };
}

/** As records hold it. */
export function hashApiKey(key: string): string {
  return hash('sha256', key);
}

function expiredKey(expiresAtMs: number): CredentialRefusal {
  return badCredential(`The API key expired at ${new Date(expiresAtMs).toISOString()}; create a new one.`);
}
