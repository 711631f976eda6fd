import type { Outcome } from '../outcome.ts';
import type { TenantDirectory } from '../../kafka/tables/tenant-directory.ts';
import type { StoreReads } from '../../runtime/store-reads.ts';
import type { UsageReader } from '../usage-reader.ts';
import { readFullestLimits, shareOf } from './limit-shares.ts';
import type { FullestLimit, LimitShareSources } from './limit-shares.ts';
import { listTenants, readFigures } from './list.ts';
import type { ListedTenant } from './list.ts';
import { orderTenants, selectTenants } from './select.ts';
import type { TenantFilter, TenantOrder } from './select.ts';

export interface TenantListSources extends LimitShareSources {
  readonly directory: Pick<TenantDirectory, 'all' | 'get'>;
  readonly usage: UsageReader;
  readonly reads: StoreReads;
}

export interface ChosenTenants {
  /** False if ClickHouse did not answer. */
  readonly usageKnown: boolean;
  /** The tenants that match the filter, in the order; rejected if the filter names no plan that exists. */
  readonly chosen: Outcome<readonly ListedTenant[]>;
  /** The limits that were read to order the list; empty for other orders. */
  readonly limits: ReadonlyMap<string, FullestLimit>;
}

/** The tenants of a list: filtered, in an order. By `share`, the limits of the busiest tenants are compared. */
export async function chooseTenants(
  sources: TenantListSources,
  filter: TenantFilter,
  { by, descending }: { readonly by: TenantOrder; readonly descending: boolean },
): Promise<ChosenTenants> {
  const policy = sources.policy();
  const figures = await readFigures(sources);
  const all = listTenants([...sources.directory.all()], figures, policy, sources.clock.now());
  const selected = selectTenants(all, filter, policy);
  const usageKnown = figures !== null;
  if (!selected.ok) return { usageKnown, chosen: selected, limits: new Map() };
  const limits: ReadonlyMap<string, FullestLimit> =
    by === 'share'
      ? await readFullestLimits(sources, orderTenants(selected.value, 'requests', true))
      : new Map();
  const ordered = orderTenants(selected.value, by, descending, (id) => shareOf(limits.get(id)));
  return { usageKnown, chosen: { ...selected, value: ordered }, limits };
}
