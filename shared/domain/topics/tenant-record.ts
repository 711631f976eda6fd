import type { TenantRecord } from '../tenant.ts';
import { readInstant } from '../time/instant.ts';
import type { TopicRecord } from './record.ts';

/** A record of `tollgate.tenants.v1` (null where it deletes the tenant's record), or why it is invalid. */
export type ReadTenantRecord =
  | { readonly tenantId: string; readonly record: TenantRecord | null; readonly version: number }
  | { readonly violations: string };

/** Header with the version of a deletion, which has no value to carry it. */
export const versionHeader = 'tollgate-version';

/** Unix milliseconds of the year 2286: ClickHouse orders records by a million times as much, in 64 bits. */
export const versionMax = 1e13;

/** `violationsIn` describes what is wrong with a value by the schema of tenant records; empty where it is valid. */
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

/** Records of older releases have no version: their time of update has the same scale. */
export function versionOf({ version, updated_at }: TenantRecord): number {
  return boundedVersion(version ?? readInstant(updated_at) ?? 0);
}

/** Deletions of older releases have no version header: their timestamp has the same scale. */
export function versionOfDeletion({
  headers,
  timestampMs,
}: Pick<TopicRecord, 'headers' | 'timestampMs'>): number {
  const version = Number(headers[versionHeader] ?? Number.NaN);
  return boundedVersion(Number.isSafeInteger(version) && version >= 0 ? version : (timestampMs ?? 0));
}

/**
 * Returns the version of the record that replaces one of version `current`. At the highest version, the order in the log
 * decides, so that such a record can still be replaced.
 */
export function versionAfter(current: number, nowMs: number): number {
  return boundedVersion(Math.max(current + 1, nowMs));
}

/** Times before 1970 and after 2286, and versions of other writers, stay within what all readers and ClickHouse can order. */
function boundedVersion(version: number): number {
  return Math.min(Math.max(version, 0), versionMax);
}
