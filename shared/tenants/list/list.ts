import type { TenantFigures } from '../../clickhouse/queries/tenants/tenant-figures.ts';
import { runningBoosts } from '../../domain/boost.ts';
import { internalTenants } from '../../domain/identity.ts';
import type { Money } from '../../domain/money.ts';
import type { Policy } from '../../domain/policy.ts';
import type { TenantRecord } from '../../domain/tenant.ts';
import { periodAt } from '../../domain/time/calendar.ts';
import type { StoreReads } from '../../runtime/store-reads.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import { blockNow } from '../block.ts';
import type { UsageReader } from '../usage-reader.ts';
import { projectedCost } from './margin.ts';

/** A tenant in a list, with its usage. Figures are null if ClickHouse did not answer: unknown is not the same as zero. */
export interface ListedTenant {
  readonly tenant_id: string;
  readonly display_name: string | null;
  readonly plan: string;
  readonly group: string | null;
  /** False for a tenant that has no record and only occurs in recorded requests. */
  readonly has_record: boolean;
  readonly blocked: boolean;
  readonly boosts: number;
  readonly requests_today: number | null;
  readonly limited_today: number | null;
  readonly cost_today: Money | null;
  /** Requests of the seven full days (UTC) before today, and of the seven days before these. */
  readonly requests_week: number | null;
  readonly requests_week_before: number | null;
  /** Refused requests of the seven full days before today. */
  readonly limited_week: number | null;
  readonly cost_month: Money | null;
  /** Price of the plan minus the projected cost of this month; null if the plan has no price. */
  readonly margin: Money | null;
  readonly updated_at: string | null;
}

const tenantsMax = 100_000;

/** Usage of all tenants; null if ClickHouse does not answer. */
export function readFigures({
  usage,
  clock,
  reads,
}: {
  readonly usage: Pick<UsageReader, 'tenantFigures'>;
  readonly clock: Clock;
  readonly reads: StoreReads;
}): Promise<readonly TenantFigures[] | null> {
  return reads.orNull(usage.tenantFigures(clock.now(), tenantsMax));
}

/** All tenants that have a record or figures (null: usage is unknown), in no particular order. */
export function listTenants(
  records: readonly TenantRecord[],
  figures: readonly TenantFigures[] | null,
  policy: Policy,
  nowMs: number,
): readonly ListedTenant[] {
  const figuresOf = new Map(figures?.map((one) => [one.tenant_id, one]));
  const recordOf = new Map(records.map((record) => [record.tenant_id, record]));
  const ids = new Set([...recordOf.keys(), ...figuresOf.keys()]);
  for (const internal of internalTenants) ids.delete(internal);
  return [...ids].map((id) => {
    const found = figures === null ? null : (figuresOf.get(id) ?? unused);
    return listed(id, recordOf.get(id) ?? null, found, policy, nowMs);
  });
}

/** Change of the requests from one week to the next: 0.5 for half as many more. Null: no week to compare with. */
export function growthOf({
  requests_week: week,
  requests_week_before: before,
}: Pick<ListedTenant, 'requests_week' | 'requests_week_before'>): number | null {
  return week === null || before === null || before === 0 ? null : (week - before) / before;
}

const unused: Omit<TenantFigures, 'tenant_id' | 'plan'> & { readonly plan: string | null } = {
  plan: null,
  requests_today: 0,
  limited_today: 0,
  cost_today: 0n,
  requests_week: 0,
  requests_week_before: 0,
  limited_week: 0,
  cost_month: 0n,
};

function listed(
  id: string,
  record: TenantRecord | null,
  figures: typeof unused | null,
  policy: Policy,
  nowMs: number,
): ListedTenant {
  const plan = record?.plan ?? figures?.plan ?? policy.defaultPlan;
  const price = policy.plans.get(plan)?.price ?? null;
  const month = periodAt('month', null, nowMs);
  return {
    tenant_id: id,
    display_name: record?.display_name ?? null,
    plan,
    group: record?.group ?? null,
    has_record: record !== null,
    blocked: blockNow(record, nowMs) !== null,
    boosts: runningBoosts(record, nowMs).length,
    requests_today: figures?.requests_today ?? null,
    limited_today: figures?.limited_today ?? null,
    cost_today: figures?.cost_today ?? null,
    requests_week: figures?.requests_week ?? null,
    requests_week_before: figures?.requests_week_before ?? null,
    limited_week: figures?.limited_week ?? null,
    cost_month: figures?.cost_month ?? null,
    margin:
      price === null || figures === null ? null : price - projectedCost(figures.cost_month, month, nowMs),
    updated_at: record?.updated_at ?? null,
  };
}
