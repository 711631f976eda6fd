import { jsonMoney } from '../../../shared/domain/money.ts';
import type { Money } from '../../../shared/domain/money.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import { readFullestLimits, shareOf } from '../../../shared/tenants/list/limit-shares.ts';
import type { FullestLimit, LimitShareSources } from '../../../shared/tenants/list/limit-shares.ts';
import { growthOf, listTenants, readFigures } from '../../../shared/tenants/list/list.ts';
import type { ListedTenant } from '../../../shared/tenants/list/list.ts';
import { orderTenants, selectTenants } from '../../../shared/tenants/list/select.ts';
import type { UsageReader } from '../../../shared/tenants/usage-reader.ts';
import { sendOutcome } from '../answer.ts';
import type { AdminApp } from '../answer.ts';
import { operations } from '../operations.ts';

export interface TenantListOptions extends LimitShareSources {
  readonly directory: Pick<TenantDirectory, 'all' | 'get'>;
  readonly usage: UsageReader;
  readonly reads: StoreReads;
}

/** Lists tenants: filtered, in an order, one part of the list at a time. */
export function registerTenantList(app: AdminApp, options: TenantListOptions): void {
  const { directory, policy, clock } = options;
  app.get('/admin/v1/tenants', { schema: operations.listTenants }, async (request, reply) => {
    const { offset = 0, limit = 50, sort = 'requests', order = 'desc', ...filter } = request.query;
    const figures = await readFigures(options);
    const all = listTenants([...directory.all()], figures, policy(), clock.now());
    const chosen = selectTenants(all, filter, policy());
    if (!chosen.ok) return sendOutcome(reply, chosen);
    const busiest = orderTenants(chosen.value, 'requests', true);
    const limits =
      sort === 'share' ? await readFullestLimits(options, busiest) : new Map<string, FullestLimit>();
    const ordered = orderTenants(busiest, sort, order === 'desc', (id) => shareOf(limits.get(id)));
    return {
      tenants: ordered
        .slice(offset, offset + limit)
        .map((tenant) => jsonTenant(tenant, limits.get(tenant.tenant_id))),
      total: ordered.length,
      offset,
      limit,
      usage_known: figures !== null,
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
