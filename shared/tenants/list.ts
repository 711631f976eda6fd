import { runningBoosts } from '../domain/boost.ts';
import type { Money } from '../domain/money.ts';
import type { Policy } from '../domain/policy.ts';
import type { TenantRecord } from '../domain/tenant.ts';
import { internalTenants } from '../domain/identity.ts';
import type { StoreReads } from '../runtime/store-reads.ts';
import type { Clock } from '../runtime/time/clock.ts';
import { blockNow } from './block.ts';
import type { TenantUse, UsageReader } from './usage-reader.ts';

export interface ListedTenant {
  readonly tenant_id: string;
  readonly display_name: string | null;
  readonly plan: string;
  /** False for a tenant that has no record and only occurs in recorded requests. */
  readonly has_record: boolean;
  readonly blocked: boolean;
  readonly boosts: number;
  /** Null if ClickHouse did not answer: unknown is not the same as zero. */
  readonly requests_today: number | null;
  readonly limited_today: number | null;
  readonly cost_today: Money | null;
  readonly updated_at: string | null;
}

export interface TenantFilter {
  readonly search?: string;
  readonly plan?: string;
}

const tenantsMax = 100_000;

/** Today's usage of all tenants; null if ClickHouse does not answer. */
export function readUseToday({
  usage,
  clock,
  reads,
}: {
  readonly usage: UsageReader;
  readonly clock: Clock;
  readonly reads: StoreReads;
}): Promise<readonly TenantUse[] | null> {
  return reads.orNull(usage.heaviest(clock.now(), tenantsMax));
}

/**
 * All tenants that have a record or occur in `use` (null: usage is unknown), sorted by today's requests, then by id.
 */
export function listTenants(
  records: readonly TenantRecord[],
  use: readonly TenantUse[] | null,
  policy: Policy,
  filter: TenantFilter,
  nowMs: number,
): readonly ListedTenant[] {
  const useOf = new Map(use?.map((one) => [one.tenant_id, one]));
  const recordOf = new Map(records.map((record) => [record.tenant_id, record]));
  const ids = new Set([...recordOf.keys(), ...useOf.keys()]);
  for (const internal of internalTenants) ids.delete(internal);
  return [...ids]
    .map((id) =>
      listed(id, recordOf.get(id) ?? null, use === null ? null : (useOf.get(id) ?? unused), policy, nowMs),
    )
    .filter((tenant) => matches(tenant, filter))
    .toSorted(
      (a, b) => (b.requests_today ?? 0) - (a.requests_today ?? 0) || a.tenant_id.localeCompare(b.tenant_id),
    );
}

const unused = { plan: null, requests: 0, limited: 0, cost: 0n };

function listed(
  id: string,
  record: TenantRecord | null,
  use: (Pick<TenantUse, 'requests' | 'limited' | 'cost'> & { readonly plan: string | null }) | null,
  policy: Policy,
  nowMs: number,
): ListedTenant {
  return {
    tenant_id: id,
    display_name: record?.display_name ?? null,
    plan: record?.plan ?? use?.plan ?? policy.defaultPlan,
    has_record: record !== null,
    blocked: blockNow(record, nowMs) !== null,
    boosts: runningBoosts(record, nowMs).length,
    requests_today: use?.requests ?? null,
    limited_today: use?.limited ?? null,
    cost_today: use?.cost ?? null,
    updated_at: record?.updated_at ?? null,
  };
}

function matches(tenant: ListedTenant, { search = '', plan = '' }: TenantFilter): boolean {
  if (plan !== '' && tenant.plan !== plan) return false;
  const wanted = search.trim().toLowerCase();
  return [tenant.tenant_id, tenant.display_name ?? ''].some((text) => text.toLowerCase().includes(wanted));
}
