import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { apiKeysOf } from '../../shared/domain/tenant.ts';
import type { TenantRecord } from '../../shared/domain/tenant.ts';
import type { RejectedMessage } from '../../shared/kafka/consumer-handling.ts';
import type { ConsumedMessage } from '../../shared/kafka/message.ts';
import { readTenantRecord } from '../../shared/kafka/tenant-record.ts';

/**
 * Copies tenant records into ClickHouse for analysts. The Kafka offset is a row's version: a record that comes again,
 * or late, never replaces a newer one. Secrets and key hashes are left out. Answers what is no record: the directory
 * (`tenant-directory.ts`) passes over the same, and the record before it stays in both.
 */
export async function storeTenantRecords(
  clickhouse: ClickHouse,
  messages: readonly ConsumedMessage[],
): Promise<readonly RejectedMessage[]> {
  const rows: object[] = [];
  const rejected: RejectedMessage[] = [];
  for (const message of messages) {
    const { key, value, offset, timestampMs } = message;
    if (value === null && key !== null) {
      const updatedAt = new Date(timestampMs ?? 0).toISOString();
      rows.push({ tenant_id: key, kafka_offset: offset, removed: true, updated_at: updatedAt });
      continue;
    }
    const read = readTenantRecord(message);
    if ('record' in read) rows.push(rowOf(read.record, offset));
    else rejected.push({ message, reason: `is no tenant record: ${read.faults}` });
  }
  await clickhouse.insert('stored_tenants', rows);
  return rejected;
}

function rowOf(record: TenantRecord, offset: number): object {
  return {
    tenant_id: record.tenant_id,
    kafka_offset: offset,
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
