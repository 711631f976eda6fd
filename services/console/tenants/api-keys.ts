import { randomBytes } from 'node:crypto';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { apiKeyPrefix, hashApiKey } from '../../../shared/identity/api-keys.ts';
import { done, refused } from '../problem.ts';
import type { Outcome } from '../problem.ts';
import type { Edit } from './records.ts';

const keysMax = 20;
/** Fewest hex digits that may name a key: short enough to type, long enough not to hit a second one. */
export const hashPrefixMin = 8;

export interface NewKey {
  /** `tgk_…`; shown once, never stored. */
  readonly key: string;
  readonly sha256: string;
}

export function newKey(): NewKey {
  const key = `${apiKeyPrefix}${randomBytes(24).toString('base64url')}`;
  return { key, sha256: hashApiKey(key) };
}

export function addKey(record: TenantRecord, sha256: string): Outcome<Edit> {
  const keys = record.api_keys_sha256 ?? [];
  if (keys.length >= keysMax)
    return refused(409, 'Key not created', `This tenant already has ${keysMax} keys; delete one first.`);
  return done({
    record: { ...record, api_keys_sha256: [...keys, sha256] },
    action: 'api-key',
    detail: `API key ${sha256.slice(0, 12)}… created`,
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
  const keys = record.api_keys_sha256 ?? [];
  const matching = keys.filter((hash) => hash.startsWith(prefix));
  if (matching.length === 0)
    return refused(404, 'No such key', `No key of this tenant begins with ${prefix}.`);
  if (matching.length > 1)
    return refused(409, 'Which key?', `Several keys begin with ${prefix}; give more digits.`);
  return done({
    record: { ...record, api_keys_sha256: keys.filter((hash) => hash !== matching[0]) },
    action: 'api-key-delete',
    detail: `API key ${prefix.slice(0, 12)}… deleted`,
  });
}
