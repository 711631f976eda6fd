import { jsonMoney } from '../../../shared/domain/money.ts';
import type { Money } from '../../../shared/domain/money.ts';
import { chooseTenants } from '../../../shared/tenants/list/choose.ts';
import type { TenantListSources } from '../../../shared/tenants/list/choose.ts';
import { shareOf } from '../../../shared/tenants/list/limit-shares.ts';
import type { FullestLimit } from '../../../shared/tenants/list/limit-shares.ts';
import { growthOf } from '../../../shared/tenants/list/list.ts';
import type { ListedTenant } from '../../../shared/tenants/list/list.ts';
import { sendOutcome } from '../answer.ts';
import type { AdminApp } from '../answer.ts';
import { operations } from '../operations.ts';

/** Lists tenants: filtered, in an order, one part of the list at a time. */
export function registerTenantList(app: AdminApp, options: TenantListSources): void {
  app.get('/admin/v1/tenants', { schema: operations.listTenants }, async (request, reply) => {
    const { offset = 0, limit = 50, sort = 'requests', order = 'desc', ...filter } = request.query;
    const sorting = { by: sort, descending: order === 'desc' };
    const { usageKnown, chosen, limits } = await chooseTenants(options, filter, sorting);
    if (!chosen.ok) return sendOutcome(reply, chosen);
    return {
      tenants: chosen.value
        .slice(offset, offset + limit)
        .map((tenant) => jsonTenant(tenant, limits.get(tenant.tenant_id))),
      total: chosen.value.length,
      offset,
      limit,
      usage_known: usageKnown,
    };
  });
}

/** The response with its money as JSON, because `JSON.stringify` throws for a bigint. */
function jsonTenant(tenant: ListedTenant, fullest: FullestLimit): object {
  const amount = (money: Money | null): number | null => (money === null ? null : jsonMoney(money));
  return {
    ...tenant,
    cost_today: amount(tenant.cost_today),
    cost_month: amount(tenant.cost_month),
    margin: amount(tenant.margin),
    growth: growthOf(tenant),
    ...(fullest === undefined || fullest === null
      ? {}
      : {
          fullest_limit: {
            name: fullest.name,
            used: fullest.used,
            limit: fullest.limit,
            share: shareOf(fullest),
          },
        }),
  };
}
