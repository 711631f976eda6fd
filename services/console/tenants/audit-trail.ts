import type { RecordChange, TenantRecord } from '../../../shared/domain/tenant.ts';

export interface TenantChange extends RecordChange {
  readonly tenant_id: string;
}

export interface ChangeFilter {
  readonly tenantId?: string | undefined;
  readonly actor?: string | undefined;
}

/** The changes that the records remember, newest first. */
export function recentChanges(
  records: readonly TenantRecord[],
  filter: ChangeFilter,
): readonly TenantChange[] {
  return records
    .filter((record) => filter.tenantId === undefined || record.tenant_id === filter.tenantId)
    .flatMap((record) => (record.history ?? []).map((change) => ({ tenant_id: record.tenant_id, ...change })))
    .filter((change) => filter.actor === undefined || change.actor === filter.actor)
    .toSorted((a, b) => b.at.localeCompare(a.at));
}
