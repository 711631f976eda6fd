import { randomBytes } from 'node:crypto';
import { apiKeyId, apiKeysOf, isPermitted, keyEndMs, keyPermissions, scopeText } from '../domain/tenant.ts';
import type { ApiKey, KeyScope, TenantRecord } from '../domain/tenant.ts';
import { instantExample, latestMs, readInstant } from '../domain/time/instant.ts';
import { formatTime } from '../domain/time/format-time.ts';
import { apiKeyPrefix, hashApiKey } from '../identity/api-keys.ts';
import { parsePattern } from '../policy/file/routes/pattern.ts';
import { rejection, success } from './outcome.ts';
import type { ChangeRejection, Outcome } from './outcome.ts';
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
  /** Absent: the key may do everything. */
  readonly scope?: KeyScope;
}

/** Longest time for which a key stays valid after it was rolled. */
export const overlapMsMax = 30 * 86_400_000;

export function newKey(): NewKey {
  const key = `${apiKeyPrefix}${randomBytes(24).toString('base64url')}`;
  return { key, sha256: hashApiKey(key) };
}

/**
 * Adds a key. A key with a name, an expiry or a scope is added to `api_keys`; other keys are added to `api_keys_sha256`,
 * which gateways of earlier versions also read. If the record has the maximum of keys, the key that expired first is
 * removed.
 */
export function addKey(
  record: TenantRecord,
  sha256: string,
  { name, expires_at: end, scope }: KeyRequest,
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
  const wrongScope = scope === undefined ? null : violationOfScope(scope);
  if (wrongScope !== null) return rejection(422, 'Key not created', wrongScope, 'scope');
  const kept = withRoom(record, nowMs);
  if (kept === null) return noRoom('Key not created');
  const described = name !== undefined || end !== undefined || scope !== undefined;
  const apiKey: ApiKey = {
    sha256,
    ...(name === undefined ? {} : { name }),
    created_at: new Date(nowMs).toISOString(),
    ...(end === undefined ? {} : { expires_at: new Date(endMs).toISOString() }),
    ...(scope === undefined ? {} : { scope }),
  };
  const until = apiKey.expires_at === undefined ? '' : `, valid until ${formatTime(apiKey.expires_at)}`;
  const may = scope === undefined ? '' : `, scope ${scopeText(scope)}`;
  return success({
    record: described
      ? { ...kept, api_keys: [...(kept.api_keys ?? []), apiKey] }
      : { ...kept, api_keys_sha256: [...(kept.api_keys_sha256 ?? []), sha256] },
    action: 'api-key',
    detail: `API key ${describe(apiKey)} created${until}${may}`,
  });
}

/** The part of a roll that the caller decides. */
export interface Roll {
  /** SHA-256 of the successor. */
  readonly sha256: string;
  /** How long the old key stays valid. 0: it ends at once. */
  readonly overlapMs: number;
  /** Latest end of the successor, in Unix milliseconds; absent: the successor may be valid for ever. */
  readonly successorEndMsMax?: number;
}

/**
 * Replaces a key by a successor of the same name and scope. The old key stays in the record with an end, after which it
 * is refused and the portal sessions that it opened have ended. A key with an end has a successor that is valid for as
 * long as the key was when it was created. A key can be rolled once: after a roll, the end of its overlap has replaced
 * its own end, from which the end of a second successor would be computed.
 */
export function rollKey(
  record: TenantRecord,
  hashPrefix: string,
  { sha256, overlapMs, successorEndMsMax = Infinity }: Roll,
  nowMs: number,
): Outcome<Edit> {
  const found = findKey(record, hashPrefix);
  if (!found.ok) return found;
  const old = found.value;
  if (isExpired(old, nowMs))
    return rejection(409, 'Key not rolled', 'This key has ended; create a new one instead.');
  if (!(overlapMs >= 0 && overlapMs <= overlapMsMax))
    return rejection(422, 'Key not rolled', 'The overlap is at most 30 days.', 'overlap');
  if (old.rolled_to !== undefined)
    return rejection(
      409,
      'Key not rolled',
      `This key was already rolled, to ${apiKeyId(old.rolled_to)}…; roll that key, or create a new one.`,
    );
  const kept = withRoom(record, nowMs);
  if (kept === null) return noRoom('Key not rolled');
  const endMs = Math.min(keyEndMs(old), nowMs + overlapMs);
  const ending: ApiKey = { ...old, expires_at: new Date(endMs).toISOString(), rolled_to: sha256 };
  const successorEndMs = Math.min(endOfSuccessor(old, nowMs), successorEndMsMax);
  const { name, scope } = old;
  const successor: ApiKey = {
    sha256,
    ...(name === undefined ? {} : { name }),
    created_at: new Date(nowMs).toISOString(),
    ...(successorEndMs === Infinity ? {} : { expires_at: new Date(successorEndMs).toISOString() }),
    ...(scope === undefined ? {} : { scope }),
  };
  return success({
    record: withEnd(kept, ending, successor),
    action: 'api-key-roll',
    detail: `API key ${describe(old)} replaced by ${describe(successor)}; it ends at ${formatTime(endMs)}`,
  });
}

/** What the API key of a portal session allows for the keys that the session creates. */
export interface Grantor {
  /** Null: everything. */
  readonly scope: KeyScope | null;
  /** Unix milliseconds after which no created key may be valid; Infinity: a created key may be valid for ever. */
  readonly endMs: number;
}

/**
 * Reads the key of a session from the record that is about to be changed. A change can wait behind the revocation of
 * this key, so the check before the wait is not enough. `keySha256` is null if no key opened the session.
 */
export function grantorIn(record: TenantRecord, keySha256: string | null, nowMs: number): Outcome<Grantor> {
  if (keySha256 === null) return success({ scope: null, endMs: Infinity });
  const own = apiKeysOf(record).find(({ sha256 }) => sha256 === keySha256);
  if (own === undefined || isExpired(own, nowMs) || !isPermitted(own.scope, 'manage'))
    return rejection(
      409,
      'Nothing was changed',
      'The API key of this session was revoked, has ended or may not manage keys.',
    );
  return success({ scope: own.scope ?? null, endMs: keyEndMs(own) });
}

/**
 * Why a caller with the scope `own` may not create a key with the scope `wanted`; null if it may. Without this rule, a
 * key could create another one that may do more than itself.
 */
export function violationOfGrant(wanted: KeyScope | undefined, own: KeyScope | null): string | null {
  if (own === null) return null;
  if (wanted === undefined) return `Your own key may do ${scopeText(own)} only: choose a scope within that.`;
  const missing = wanted.permissions.filter((name) => !own.permissions.includes(name));
  if (missing.length > 0) return `Your own key does not have the permission ${missing.join(', ')}.`;
  if (own.routes === undefined || !wanted.permissions.includes('requests')) return null;
  const further = wanted.routes?.filter((route) => own.routes?.includes(route) === false);
  return further?.length === 0
    ? null
    : `Your own key may send ${own.routes.join(', ')} only: name these routes.`;
}

export function removeKey(record: TenantRecord, hashPrefix: string): Outcome<Edit> {
  const found = findKey(record, hashPrefix);
  if (!found.ok) return found;
  return success({
    record: withoutKey(record, found.value.sha256),
    action: 'api-key-delete',
    detail: `API key ${describe(found.value)} deleted`,
  });
}

/** The key of the tenant whose hash begins with these digits. */
export function findKey(record: TenantRecord, hashPrefix: string): Outcome<ApiKey> {
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
  return success(found);
}

function violationOfScope({ permissions, routes }: KeyScope): string | null {
  const known: readonly string[] = keyPermissions;
  const unknown = permissions.find((name) => !known.includes(name));
  if (unknown !== undefined || permissions.length === 0)
    return `A scope has one or more of the permissions ${known.join(', ')}.`;
  if (routes !== undefined && !permissions.includes('requests'))
    return 'Routes narrow the permission requests, which this scope does not have.';
  for (const route of routes ?? []) {
    const pattern = parsePattern(route);
    if (typeof pattern === 'string') return `The route “${route}” ${pattern}.`;
  }
  return null;
}

/** The record with the end of one key, and with another key after it. */
function withEnd(record: TenantRecord, ending: ApiKey, successor: ApiKey): TenantRecord {
  const { api_keys: keys = [], api_keys_sha256: hashes = [] } = record;
  const isDescribed = keys.some(({ sha256 }) => sha256 === ending.sha256);
  return {
    ...record,
    api_keys_sha256: hashes.filter((hash) => hash !== ending.sha256),
    api_keys: isDescribed
      ? [...keys.map((key) => (key.sha256 === ending.sha256 ? ending : key)), successor]
      : [...keys, ending, successor],
  };
}

/** Unix milliseconds, at most the last time that RFC 3339 can express; Infinity: the successor never expires. */
function endOfSuccessor(old: ApiKey, nowMs: number): number {
  const createdMs = old.created_at === undefined ? null : readInstant(old.created_at);
  const endMs = keyEndMs(old);
  if (createdMs === null || endMs === Infinity) return endMs;
  return Math.min(nowMs + (endMs - createdMs), latestMs);
}

function describe({ sha256, name }: ApiKey): string {
  return `${apiKeyId(sha256)}…${name === undefined ? '' : ` “${name}”`}`;
}

function noRoom(title: string): ChangeRejection {
  return rejection(409, title, `This tenant already has ${apiKeysMax} keys; delete one first.`);
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
