import { randomBytes } from 'node:crypto';
import { instantExample, readInstant } from '../../../shared/domain/time/instant.ts';
import { apiKeysOf, keyEndMs } from '../../../shared/domain/tenant.ts';
import type { ApiKey, TenantRecord } from '../../../shared/domain/tenant.ts';
import { apiKeyPrefix, hashApiKey } from '../../../shared/identity/api-keys.ts';
import { apiKeysMax } from '../../../shared/tenants/record-schema.ts';
import { stamp } from '../pages/format.ts';
import { done, refused } from '../problem.ts';
import type { Outcome } from '../problem.ts';
import type { Edit } from './records.ts';

/** Fewest hex digits that may name a key: short enough to type, long enough not to hit a second one. */
export const hashPrefixMin = 8;

export interface NewKey {
  /** `tgk_…`; shown once, never stored. */
  readonly key: string;
  readonly sha256: string;
}

export interface KeyRequest {
  /** What it is for. */
  readonly name?: string;
  /** RFC 3339; absent: it never expires. */
  readonly expires_at?: string;
}

export function newKey(): NewKey {
  const key = `${apiKeyPrefix}${randomBytes(24).toString('base64url')}`;
  return { key, sha256: hashApiKey(key) };
}

/**
 * A key with a name or an end is described in `api_keys`; any other stands in `api_keys_sha256`, which gateways of
 * earlier versions read too. Where a tenant has all the keys it may have, the one that expired first makes room.
 */
export function addKey(
  record: TenantRecord,
  sha256: string,
  { name, expires_at: end }: KeyRequest,
  nowMs: number,
): Outcome<Edit> {
  const endMs = end === undefined ? Infinity : readInstant(end);
  if (endMs === null)
    return refused(
      422,
      'Key not created',
      `expires_at is not an RFC 3339 time; write it as ${instantExample}.`,
    );
  if (endMs <= nowMs) return refused(422, 'Key not created', 'expires_at is already past.');
  const kept = withRoom(record, nowMs);
  if (kept === null)
    return refused(409, 'Key not created', `This tenant already has ${apiKeysMax} keys; delete one first.`);
  const described = name !== undefined || end !== undefined;
  const apiKey: ApiKey = {
    sha256,
    ...(name === undefined ? {} : { name }),
    created_at: new Date(nowMs).toISOString(),
    ...(end === undefined ? {} : { expires_at: new Date(endMs).toISOString() }),
  };
  const until = apiKey.expires_at === undefined ? '' : `, good until ${stamp(apiKey.expires_at)}`;
  return done({
    record: described
      ? { ...kept, api_keys: [...(kept.api_keys ?? []), apiKey] }
      : { ...kept, api_keys_sha256: [...(kept.api_keys_sha256 ?? []), sha256] },
    action: 'api-key',
    detail: `API key ${sha256.slice(0, 12)}…${name === undefined ? '' : ` “${name}”`} created${until}`,
  });
}

export function removeKey(record: TenantRecord, hashPrefix: string): Outcome<Edit> {
  const prefix = hashPrefix.toLowerCase();
  if (!/^[0-9a-f]+$/.test(prefix) || prefix.length < hashPrefixMin)
    return refused(
      422,
      'Which key?',
      `Give at least ${hashPrefixMin} hexadecimal digits of the key's SHA-256.`,
    );
  const matching = apiKeysOf(record).filter(({ sha256 }) => sha256.startsWith(prefix));
  const [found] = matching;
  if (found === undefined) return refused(404, 'No such key', `No key of this tenant begins with ${prefix}.`);
  if (matching.length > 1)
    return refused(409, 'Which key?', `Several keys begin with ${prefix}; give more digits.`);
  return done({
    record: without(record, found.sha256),
    action: 'api-key-delete',
    detail: `API key ${prefix.slice(0, 12)}… deleted`,
  });
}

export function isExpired(key: ApiKey, nowMs: number): boolean {
  return keyEndMs(key) <= nowMs;
}

/** The record with room for one more key; null where every key it has is still good. */
function withRoom(record: TenantRecord, nowMs: number): TenantRecord | null {
  const keys = apiKeysOf(record);
  if (keys.length < apiKeysMax) return record;
  const ended = keys.filter((key) => isExpired(key, nowMs));
  const [first] = ended.toSorted((a, b) => keyEndMs(a) - keyEndMs(b));
  return first === undefined ? null : without(record, first.sha256);
}

function without(record: TenantRecord, sha256: string): TenantRecord {
  const { api_keys: keys, api_keys_sha256: hashes } = record;
  return {
    ...record,
    ...(keys === undefined ? {} : { api_keys: keys.filter((key) => key.sha256 !== sha256) }),
    ...(hashes === undefined ? {} : { api_keys_sha256: hashes.filter((hash) => hash !== sha256) }),
  };
}
