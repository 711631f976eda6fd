import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { apiKeyId } from '../domain/tenant.ts';
import type { KeyHolder } from '../domain/tenant.ts';
import type { Clock } from '../runtime/time/clock.ts';
import type { CallerReading, CredentialRejection, RefusedReading } from './credential-reading.ts';
import { compileScope } from './key-scope.ts';
import { badCredential, undecidedCredential } from './credential-reading.ts';

/** Prefix of every API key. */
export const apiKeyPrefix = 'tgk_';

/** The API keys of all tenants, in the memory of this process. */
export interface KeyDirectory {
  byApiKeyHash(sha256Hex: string): KeyHolder | undefined;
  /** False while the records are still being read. */
  ready(): boolean;
}

export interface ApiKeys {
  read(key: string): CallerReading | RefusedReading;
}

/** Bounds of the cache of digests: number of keys, and length of a key. Together they allow a few megabytes. */
const digestsMax = 20_000;
const digestKeyLengthMax = 128;

interface CachedKey {
  readonly digest: string;
  readonly holder: KeyHolder;
  readonly reading: CallerReading;
}

/**
 * Caches the SHA-256 digest of each key. The tenant of the key is read from the directory for each request, so that a
 * revoked key is refused at once.
 */
export function createApiKeys(directory: KeyDirectory, clock: Clock): ApiKeys {
  const cachedKeys = new LRUCache<string, CachedKey>({ max: digestsMax });
  return { read };

  function read(key: string): CallerReading | RefusedReading {
    const cached = cachedKeys.get(key);
    const digest = cached?.digest ?? hashApiKey(key);
    const holder = directory.byApiKeyHash(digest);
    if (holder === undefined) return { kind: 'refused', rejection: unknownKey() };
    const { expiresAtMs } = holder;
    if (expiresAtMs !== Infinity && expiresAtMs <= clock.now())
      return { kind: 'refused', rejection: expiredKey(expiresAtMs) };
    if (cached?.holder === holder) return cached.reading;
    const reading = readingOf(holder, digest);
    // Only valid keys are cached, so a flood of guessed keys evicts no valid key.
    if (key.length <= digestKeyLengthMax) cachedKeys.set(key, { digest, holder, reading });
    return reading;
  }

  function unknownKey(): CredentialRejection {
    return directory.ready()
      ? badCredential('The API key is unknown.')
      : undecidedCredential('The API key cannot be looked up yet; try again in a moment.');
  }
}

function readingOf({ record, key, expiresAtMs }: KeyHolder, digest: string): CallerReading {
  const claims = { tenantId: record.tenant_id, userId: null, plan: null, attributes: { key: digest } };
  const { scope } = key;
  const apiKey = { id: apiKeyId(digest), scope: scope === undefined ? null : compileScope(scope) };
  return { kind: 'caller', method: 'api_key', claims, apiKey, untilMs: expiresAtMs };
}

/** Returns the hash of a key in the form in which tenant records store it. */
export function hashApiKey(key: string): string {
  return hash('sha256', key);
}

function expiredKey(expiresAtMs: number): CredentialRejection {
  return badCredential(`The API key expired at ${new Date(expiresAtMs).toISOString()}; create a new one.`);
}
