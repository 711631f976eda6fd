import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { KeyHolder } from '../domain/tenant.ts';
import type { Clock } from '../runtime/clock.ts';
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

export function createApiKeys(directory: KeyDirectory, clock: Clock): ApiKeys {
  const digests = new LRUCache<string, string>({ max: digestsMax });
  return { read };

  function read(key: string): CallerReading | RefusedReading {
    const holder = holderOf(key);
    if (holder === undefined) return { kind: 'refused', refusal: unknownKey() };
    const { record, expiresAtMs } = holder;
    if (expiresAtMs <= clock.now()) return { kind: 'refused', refusal: expiredKey(expiresAtMs) };
    const claims = { tenantId: record.tenant_id, userId: null, plan: null };
    return { kind: 'caller', method: 'api_key', claims, untilMs: expiresAtMs };
  }

  /** A returning key costs no digest. Whose it is is looked up each time, so that a revoked key is unknown at once. */
  function holderOf(key: string): KeyHolder | undefined {
    const seen = digests.get(key);
    if (seen !== undefined) return directory.byApiKeyHash(seen);
    const digest = hashApiKey(key);
    const holder = directory.byApiKeyHash(digest);
    // Only known keys are kept: a flood of guesses drives none of them out.
    if (holder !== undefined && key.length <= digestKeyLengthMax) digests.set(key, digest);
    return holder;
  }

  function unknownKey(): CredentialRefusal {
    return directory.ready()
      ? badCredential('The API key is not known.')
      : undecidedCredential('The API key cannot be looked up yet; try again in a moment.');
  }
}

/** As records hold it. */
export function hashApiKey(key: string): string {
  return hash('sha256', key);
}

function expiredKey(expiresAtMs: number): CredentialRefusal {
  return badCredential(`The API key expired at ${new Date(expiresAtMs).toISOString()}; create a new one.`);
}
