import type { Policy } from '../../domain/policy.ts';
import { rejection, success } from '../outcome.ts';
import type { Outcome } from '../outcome.ts';
import { growthOf } from './list.ts';
import type { ListedTenant } from './list.ts';

/** States by which a list of tenants can be filtered. */
export const tenantStates = ['blocked', 'boosted', 'record', 'no-record'] as const;
export type TenantState = (typeof tenantStates)[number];

export interface TenantFilter {
  /** Part of the id or of the name. */
  readonly search?: string;
  readonly plan?: string;
  readonly group?: string;
  readonly state?: TenantState | null;
}

/** Orders of a list of tenants. `share` is the highest used share of a limit. */
export const tenantOrders = ['share', 'requests', 'refused', 'growth', 'cost', 'margin', 'name'] as const;
export type TenantOrder = (typeof tenantOrders)[number];

/**
 * The tenants that match the filter. A plan that neither the policy nor a tenant has is rejected, because it is most
 * probably mistyped.
 */
export function selectTenants(
  tenants: readonly ListedTenant[],
  { search = '', plan = '', group = '', state = null }: TenantFilter,
  policy: Policy,
): Outcome<readonly ListedTenant[]> {
  if (plan !== '' && !policy.plans.has(plan) && !tenants.some((tenant) => tenant.plan === plan)) {
    const plans = [...policy.plans.keys()].join(', ');
    return rejection(422, 'No such plan', `The policy has no plan “${plan}”; it has: ${plans}.`, 'plan');
  }
  const wanted = search.trim().toLowerCase();
  return success(
    tenants.filter(
      (tenant) =>
        (plan === '' || tenant.plan === plan) &&
        (group === '' || tenant.group === group) &&
        (state === null || isInState(tenant, state)) &&
        [tenant.tenant_id, tenant.display_name ?? ''].some((text) => text.toLowerCase().includes(wanted)),
    ),
  );
}

function isInState(tenant: ListedTenant, state: TenantState): boolean {
  switch (state) {
    case 'blocked':
      return tenant.blocked;
    case 'boosted':
      return tenant.boosts > 0;
    case 'record':
      return tenant.has_record;
    case 'no-record':
      return !tenant.has_record;
  }
}

/**
 * The tenants in an order. Tenants whose figure is unknown are last, in either direction. `shareOf` returns the highest
 * used share of a limit; null: unknown.
 */
export function orderTenants(
  tenants: readonly ListedTenant[],
  order: TenantOrder,
  descending: boolean,
  shareOf: (tenantId: string) => number | null = () => null,
): readonly ListedTenant[] {
  const sign = descending ? -1 : 1;
  const byName = (a: ListedTenant, b: ListedTenant): number => (a.tenant_id < b.tenant_id ? -1 : 1);
  if (order === 'name') return tenants.toSorted((a, b) => sign * byName(a, b));
  const keyed = tenants.map((tenant) => ({ tenant, key: keyOf(tenant, order, shareOf) }));
  return keyed
    .toSorted((a, b) => {
      if (a.key === null || b.key === null)
        return Number(a.key === null) - Number(b.key === null) || byName(a.tenant, b.tenant);
      return a.key < b.key ? -sign : a.key > b.key ? sign : byName(a.tenant, b.tenant);
    })
    .map(({ tenant }) => tenant);
}

function keyOf(
  tenant: ListedTenant,
  order: Exclude<TenantOrder, 'name'>,
  shareOf: (tenantId: string) => number | null,
): number | bigint | null {
  switch (order) {
    case 'share':
      return shareOf(tenant.tenant_id);
    case 'requests':
      return tenant.requests_today;
    case 'refused':
      return tenant.limited_today;
    case 'growth':
      // A tenant without requests in the week before grew most.
      return growthOf(tenant) ?? ((tenant.requests_week ?? 0) > 0 ? Infinity : null);
    case 'cost':
      return tenant.cost_month;
    case 'margin':
      return tenant.margin;
  }
}
