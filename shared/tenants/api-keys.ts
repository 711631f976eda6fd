import { randomBytes } from 'node:crypto';
import { apiKeysOf, keyEndMs } from '../domain/tenant.ts';
import type { ApiKey, TenantRecord } from '../domain/tenant.ts';
import { instantExample, readInstant } from '../domain/time/instant.ts';
import { formatTime } from '../domain/time/format-time.ts';
import { apiKeyPrefix, hashApiKey } from '../identity/api-keys.ts';
import { rejection, success } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import { apiKeysMax } from './record/schema.ts';
import type { Edit } from './records.ts';

/**
 * Minimum number of hexadecimal digits of a hash by which a caller can name a key. Eight digits are short enough to
 * type, and two keys of a tenant rarely share them.
 */
const hashPrefixLengthMin = 8;

export interface NewKey {
  /** The key, `tgk_…`. It is shown once and never stored. */
  readonly key: string;
  readonly sha256: string;
}

export interface KeyRequest {
  /** Purpose of the key. */
  readonly name?: string;
  /** RFC 3339; absent: the key never expires. */
  readonly expires_at?: string;
}

export function newKey(): NewKey {
  const key = `${apiKeyPrefix}${randomBytes(24).toString('base64url')}`;
  return { key, sha256: hashApiKey(key) };
}

/**
 * Adds a key. A key with a name or an expiry is added to `api_keys`; other keys are added to `api_keys_sha256`, which
 * gateways of earlier versions also read. If the record has the maximum of keys, the key that expired first is
 * removed.
 */
export function addKey(
  record: TenantRecord,
  sha256: string,
  { name, expires_at: end }: KeyRequest,
  nowMs: number,
): Outcome<Edit> {
  const endMs = end === undefined ? Infinity : readInstant(end);
  if (endMs === null)
    return rejection(
      422,
      'Key not created',
      `expires_at is not an RFC 3339 time; write it as ${instantExample}.`,
      'expires_at',
    );
  if (endMs <= nowMs) return rejection(422, 'Key not created', 'expires_at is already past.', 'expires_at');
  const kept = withRoom(record, nowMs);
  if (kept === null)
    return rejection(409, 'Key not created', `This tenant already has ${apiKeysMax} keys; delete one first.`);
  const described = name !== undefined || end !== undefined;
  const apiKey: ApiKey = {
    sha256,
    ...(name === undefined ? {} : { name }),
    created_at: new Date(nowMs).toISOString(),
    ...(end === undefined ? {} : { expires_at: new Date(endMs).toISOString() }),
  };
  const until = apiKey.expires_at === undefined ? '' : `, valid until ${formatTime(apiKey.expires_at)}`;
  return success({
    record: described
      ? { ...kept, api_keys: [...(kept.api_keys ?? []), apiKey] }
      : { ...kept, api_keys_sha256: [...(kept.api_keys_sha256 ?? []), sha256] },
    action: 'api-key',
    detail: `API key ${sha256.slice(0, 12)}…${name === undefined ? '' : ` “${name}”`} created${until}`,
  });
}

export function removeKey(record: TenantRecord, hashPrefix: string): Outcome<Edit> {
  const prefix = hashPrefix.toLowerCase();
  if (!/^[0-9a-f]+$/.test(prefix) || prefix.length < hashPrefixLengthMin)
    return rejection(
      422,
      'Which key?',
      `Give at least ${hashPrefixLengthMin} hexadecimal digits of the key's SHA-256.`,
    );
  const matching = apiKeysOf(record).filter(({ sha256 }) => sha256.startsWith(prefix));
  const [found] = matching;
  if (found === undefined)
    return rejection(404, 'No such key', `No key of this tenant begins with ${prefix}.`);
  if (matching.length > 1)
    return rejection(409, 'Which key?', `Several keys begin with ${prefix}; give more digits.`);
  return success({
    record: withoutKey(record, found.sha256),
    action: 'api-key-delete',
    detail: `API key ${prefix.slice(0, 12)}… deleted`,
  });
}

export function isExpired(key: ApiKey, nowMs: number): boolean {
  return keyEndMs(key) <= nowMs;
}

/** The record with room for one more key; null if it has the maximum of keys and none of them has expired. */
function withRoom(record: TenantRecord, nowMs: number): TenantRecord | null {
  const keys = apiKeysOf(record);
  if (keys.length < apiKeysMax) return record;
  const expired = keys.filter((key) => isExpired(key, nowMs));
  const [first] = expired.toSorted((a, b) => keyEndMs(a) - keyEndMs(b));
  return first === undefined ? null : withoutKey(record, first.sha256);
}

function withoutKey(record: TenantRecord, sha256: string): TenantRecord {
  const { api_keys: keys, api_keys_sha256: hashes } = record;
  return {
    ...record,
    ...(keys === undefined ? {} : { api_keys: keys.filter((key) => key.sha256 !== sha256) }),
    ...(hashes === undefined ? {} : { api_keys_sha256: hashes.filter((hash) => hash !== sha256) }),
  };
}
