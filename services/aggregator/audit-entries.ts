import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import type { TenantRecord } from '../../shared/domain/tenant.ts';
import { auditHeader, readAuditEntry } from '../../shared/domain/topics/audit-entry.ts';
import type { AuditEntry } from '../../shared/domain/topics/audit-entry.ts';
import type { RejectedMessage } from '../../shared/kafka/consumer/handling.ts';
import type { ConsumedMessage } from '../../shared/kafka/message.ts';
import { auditedPart, entryId } from '../../shared/tenants/record/audited-change.ts';

/** Stores the entries of the audit topic. Returns the invalid records. */
export async function storeAuditEntries(
  clickhouse: ClickHouse,
  messages: readonly ConsumedMessage[],
): Promise<readonly RejectedMessage[]> {
  const rows: object[] = [];
  const rejected: RejectedMessage[] = [];
  for (const message of messages) {
    const entry = readAuditEntry(message.value?.toString() ?? '');
    if (entry === null) rejected.push({ message, reason: 'is no entry of the audit trail' });
    else rows.push(rowOf(entry, 1));
  }
  await clickhouse.insert('stored_audit', rows);
  return rejected;
}

/**
 * Rows of the audit trail in a record of the tenants topic: the entry of its change, and the entries of its history. The
 * history covers changes whose records Kafka compacted before they were read, and changes by older releases.
 */
export function auditRowsOf({ headers }: ConsumedMessage, record: TenantRecord | null): readonly object[] {
  const own = readAuditEntry(headers[auditHeader] ?? '');
  const history = (record?.history ?? []).map((change) => {
    const tenantId = record?.tenant_id ?? '';
    const known = { id: entryId(tenantId, change), tenant_id: tenantId, source: '', reason: '' } as const;
    return rowOf({ ...known, ...auditedPart(change) }, 0);
  });
  return own === null ? history : [rowOf(own, 1), ...history];
}

function rowOf(entry: AuditEntry, completeness: 0 | 1): object {
  const { at, before, after, facts = {}, ...texts } = entry;
  return {
    ...texts,
    time: at,
    before: before === undefined ? '' : JSON.stringify(before),
    after: after === undefined ? '' : JSON.stringify(after),
    facts,
    completeness,
  };
}
