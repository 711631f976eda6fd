import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { UsageReader } from '../../../shared/tenants/usage-reader.ts';

/** What is known of the plan of a tenant besides its record. */
export interface PlanReading {
  /** Plan of the tenant's latest request; null: none, or the record names the plan. */
  readonly seenPlan: string | null;
  /** False: the plan of the latest request is needed and could not be read. */
  readonly planKnown: boolean;
}

/** Reads the plan of a tenant whose record names none from its latest request. Does not reject if ClickHouse does not answer. */
export async function readSeenPlan(
  { usage, reads }: { readonly usage: Pick<UsageReader, 'seenPlan'>; readonly reads: StoreReads },
  { tenantId, record }: { readonly tenantId: string; readonly record: TenantRecord | null },
  nowMs: number,
): Promise<PlanReading> {
  if (record?.plan !== undefined) return { seenPlan: null, planKnown: true };
  const read = await reads.orNull(usage.seenPlan(tenantId, nowMs).then((plan) => ({ plan })));
  return { seenPlan: read?.plan ?? null, planKnown: read !== null };
}
