import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { readInstant } from '../../shared/domain/instant.ts';
import type { TenantRecord } from '../../shared/domain/tenant.ts';
import type { ConsumedMessage } from '../../shared/kafka/message.ts';

/**
 * Copies tenant records into ClickHouse for analysts. The Kafka offset is a row's version: a record that comes again,
 * or late, never replaces a newer one. What is no record is passed over: whoever wrote it was told, and the record
 * before it stays. Secrets and key hashes are left out.
 */
export async function storeTenantRecords(
  clickhouse: ClickHouse,
  messages: readonly ConsumedMessage[],
): Promise<void> {
  const rows = messages.flatMap((message) => rowOf(message) ?? []);
  await clickhouse.insert('stored_tenants', rows);
}

function rowOf({ key, value, offset, timestampMs }: ConsumedMessage): object | null {
  if (key === null) return null;
  const place = { tenant_id: key, kafka_offset: offset };
  if (value === null) return { ...place, removed: true, updated_at: new Date(timestampMs).toISOString() };
  const record = parse(value);
  if (record === null) return null;
  const until = record.block?.until ?? null;
  return {
    ...place,
    plan: record.plan ?? '',
    display_name: record.display_name ?? '',
    time_zone: record.time_zone ?? 'UTC',
    overrides: record.overrides ?? {},
    boosts: JSON.stringify(record.boosts ?? []),
    blocked: record.block !== undefined,
    blocked_until: until,
    api_keys: record.api_keys_sha256?.length ?? 0,
    updated_at: record.updated_at,
    updated_by: record.updated_by,
    removed: false,
  };
}

function parse(value: Buffer): TenantRecord | null {
  try {
    const record = JSON.parse(value.toString('utf8')) as Partial<TenantRecord> | null;
    if (typeof record?.tenant_id !== 'string' || readInstant(record.updated_at ?? '') === null) return null;
    return record as TenantRecord;
  } catch {
    return null;
  }
}
