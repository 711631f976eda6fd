import { readInstant } from '../../domain/time/instant.ts';
import type { TenantRecord } from '../../domain/tenant.ts';
import { textOfFaults } from '../../runtime/http/schema-faults.ts';
import { faultsInRecord } from '../../tenants/record-faults.ts';
import { versionMax } from '../../tenants/record-schema.ts';
import type { ConsumedMessage } from '../message.ts';

/** A record of the tenants topic (null where it deletes the tenant's), or what is wrong with it. */
export type ReadTenantRecord =
  | { readonly tenantId: string; readonly record: TenantRecord | null; readonly version: number }
  | { readonly faults: string };

type Message = Pick<ConsumedMessage, 'key' | 'keyBytes' | 'value' | 'headers' | 'timestampMs'>;

export const versionHeader = 'tollgate-version';

export function readTenantRecord(message: Message): ReadTenantRecord {
  const { key, keyBytes, value } = message;
  if (key === null || keyBytes !== undefined) return { faults: 'its key is no tenant id' };
  if (value === null) return { tenantId: key, record: null, version: versionOfDeletion(message) };
  let parsed: unknown;
  try {
    parsed = JSON.parse(value.toString());
  } catch {
    return { faults: 'it is not JSON' };
  }
  const faults = faultsInRecord(parsed);
  if (faults.length > 0) return { faults: textOfFaults(faults, 'record') };
  const record = parsed as TenantRecord;
  if (record.tenant_id !== key) return { faults: `its key is not ${record.tenant_id}` };
  return { tenantId: key, record, version: versionOf(record) };
}

/** Of a record that an older release wrote: when it was updated, which is on the same scale. */
export function versionOf({ version, updated_at }: TenantRecord): number {
  return boundedVersion(version ?? readInstant(updated_at) ?? 0);
}

/** A deletion has no value to carry its version; that of an older release has the time at which it was written. */
export function versionOfDeletion({
  headers,
  timestampMs,
}: Pick<Message, 'headers' | 'timestampMs'>): number {
  const version = Number(headers[versionHeader] ?? Number.NaN);
  return boundedVersion(Number.isSafeInteger(version) && version >= 0 ? version : (timestampMs ?? 0));
}

/**
 * The version of the record that follows one of version `known`. Records of the highest version follow each other as in
 * the log, so a record that has it can still be replaced.
 */
export function versionAfter(known: number, nowMs: number): number {
  return boundedVersion(Math.max(known + 1, nowMs));
}

/** Times before 1970 and after 2286, and versions of other writers, stay within what every reader and ClickHouse can order. */
function boundedVersion(version: number): number {
  return Math.min(Math.max(version, 0), versionMax);
}
