import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { apiKeysOf } from '../../shared/domain/tenant.ts';
import type { TenantRecord } from '../../shared/domain/tenant.ts';
import type { RejectedMessage } from '../../shared/kafka/consumer/handling.ts';
import type { ConsumedMessage } from '../../shared/kafka/message.ts';
import { readTenantRecord, versionMax } from '../../shared/domain/topics/tenant-record.ts';
import { recordViolationText } from '../../shared/tenants/record/violations.ts';
import { auditRowsOf } from './audit-entries.ts';

/**
 * Copies tenant records into ClickHouse for analysts, without secrets and key hashes. Each row has a number that orders
 * the records of a tenant. So a record never replaces a newer one if it is read again, if it is late, or if it is in a
 * partition to which its key no longer belongs. Returns the invalid records. The directory (`tenant-directory.ts`)
 * ignores the same records, so ClickHouse and the directory both keep the tenant's previous record. Also stores the
 * entries of the audit trail that the records contain.
 */
export async function storeTenantRecords(
  clickhouse: ClickHouse,
  messages: readonly ConsumedMessage[],
): Promise<readonly RejectedMessage[]> {
  const rows: object[] = [];
  const audit: object[] = [];
  const rejected: RejectedMessage[] = [];
  for (const message of messages) {
    const read = readTenantRecord(message, recordViolationText);
    if ('violations' in read) {
      rejected.push({ message, reason: `is no tenant record: ${read.violations}` });
      continue;
    }
    const { tenantId, record, version } = read;
    audit.push(...auditRowsOf(message, record));
    const head = { tenant_id: tenantId, kafka_offset: orderOf(version, message.offset) };
    if (record !== null) rows.push({ ...head, ...columnsOf(record) });
    else rows.push({ ...head, removed: true, updated_at: timeOf(message) });
  }
  await clickhouse.insert('stored_audit', audit);
  await clickhouse.insert('stored_tenants', rows);
  return rejected;
}

/**
 * The time of a record is set by its producer and may be impossible. A negative time, or a time after the year 2286,
 * becomes 0.
 */
function timeOf({ timestampMs }: ConsumedMessage): string {
  const atMs = timestampMs ?? 0;
  return new Date(atMs >= 0 && atMs <= versionMax ? atMs : 0).toISOString();
}

const offsetBits = 20n;

/**
 * Returns the order that the directory uses, as one number for the column: the version in the high bits, then the
 * offset. Older releases wrote the offset alone; a number with a version is greater than every such offset.
 */
function orderOf(version: number, offset: number): string {
  return String((BigInt(version) << offsetBits) | (BigInt(offset) & ((1n << offsetBits) - 1n)));
}

function columnsOf(record: TenantRecord): object {
  return {
    plan: record.plan ?? '',
    display_name: record.display_name ?? '',
    time_zone: record.time_zone ?? 'UTC',
    overrides: record.overrides ?? {},
    boosts: JSON.stringify(record.boosts ?? []),
    blocked: record.block !== undefined,
    blocked_until: record.block?.until ?? null,
    api_keys: apiKeysOf(record).length,
    updated_at: record.updated_at,
    updated_by: record.updated_by,
    removed: false,
  };
}
