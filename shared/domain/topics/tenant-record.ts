import type { TenantRecord } from '../tenant.ts';
import { readInstant } from '../time/instant.ts';
import type { TopicRecord } from './record.ts';

/** A record of `tollgate.tenants.v1` (null: the record was deleted), or the reason why it is invalid. */
export type ReadTenantRecord =
  | { readonly tenantId: string; readonly record: TenantRecord | null; readonly version: number }
  | { readonly violations: string };

/** Header with the version of a tombstone: a tombstone has no value that could contain the version. */
export const versionHeader = 'tollgate-version';

/**
 * Largest version: the Unix milliseconds of the year 2286. ClickHouse orders records by a million times the version,
 * which must fit into 64 bits.
 */
export const versionMax = 1e13;

/**
 * `violationsIn` checks a value against the schema of tenant records and returns the violations as a text; empty if
 * it is valid.
 */
export function readTenantRecord(
  message: TopicRecord,
  violationsIn: (value: unknown) => string,
): ReadTenantRecord {
  const { key, keyBytes, value } = message;
  if (key === null || keyBytes !== undefined) return { violations: 'its key is no tenant id' };
  if (value === null) return { tenantId: key, record: null, version: versionOfDeletion(message) };
  let parsed: unknown;
  try {
    parsed = JSON.parse(value.toString());
  } catch {
    return { violations: 'it is not JSON' };
  }
  const violations = violationsIn(parsed);
  if (violations !== '') return { violations };
  const record = parsed as TenantRecord;
  if (record.tenant_id !== key) return { violations: `its key is not ${record.tenant_id}` };
  return { tenantId: key, record, version: versionOf(record) };
}

/** A record of an older release has no version. Its `updated_at` in Unix milliseconds is on the same scale. */
export function versionOf({ version, updated_at }: TenantRecord): number {
  return boundedVersion(version ?? readInstant(updated_at) ?? 0);
}

/** A tombstone of an older release has no version header. Its timestamp is on the same scale. */
export function versionOfDeletion({
  headers,
  timestampMs,
}: Pick<TopicRecord, 'headers' | 'timestampMs'>): number {
  const version = Number(headers[versionHeader] ?? Number.NaN);
  return boundedVersion(Number.isSafeInteger(version) && version >= 0 ? version : (timestampMs ?? 0));
}

/**
 * Version of the record that replaces a record of version `current`. A record of the highest version is
 * replaced by a record of the same version: readers use the later of the two in the log.
 */
export function versionAfter(current: number, nowMs: number): number {
  return boundedVersion(Math.max(current + 1, nowMs));
}

/**
 * Limits a version to the range that all readers and ClickHouse can order. Versions of other writers, and times
 * before 1970 or after 2286, can be outside that range.
 */
function boundedVersion(version: number): number {
  return Math.min(Math.max(version, 0), versionMax);
}
