import type { ExactAmounts } from '../../../domain/events/call-usage.ts';
import type { Money } from '../../../domain/money.ts';
import { anonymousTenant } from '../../../domain/usage-event.ts';
import { heartbeatTenant } from '../../../domain/identity.ts';
import type { ClickHouseReader } from '../../client.ts';
import { amountsText, parseAmounts, parseMoney, withMoney } from '../decimals.ts';
import type { AmountsAsText, MoneyAsText } from '../decimals.ts';
import { measured, served } from '../predicates.ts';
import type { Span } from '../period-totals.ts';
import { levelRange, usageRows } from '../usage-levels.ts';

/** Served calls of a tenant whose usage is measured, by one property. Open reservations are included. */
export interface SpendBy {
  /** The model or the route; empty: calls without a model. */
  readonly name: string;
  readonly calls: number;
  readonly cost: Money;
  readonly quantities: ExactAmounts;
}

/** Returns what a tenant spent in a span by model or by route, highest cost first. */
export async function spendBy(
  clickhouse: ClickHouseReader,
  { tenantId, by, span }: { readonly tenantId: string; readonly by: 'model' | 'route'; readonly span: Span },
): Promise<SpendBy[]> {
  const source = usageRows([span], {
    columns: 'model, route, requests, cost, quantities',
    where: `tenant_id = {tenant:String} AND ${served} AND ${measured}`,
  });
  const rows = await clickhouse.query<
    Omit<MoneyAsText<SpendBy>, 'quantities'> & { readonly quantities: AmountsAsText }
  >(
    `SELECT ${by} AS name, sum(u.requests) AS calls, toString(sum(u.cost)) AS cost,
      ${amountsText('sumMap(u.quantities)')} AS quantities
    FROM (${source.sql}) AS u GROUP BY name ORDER BY sum(u.cost) DESC, name`,
    { ...source.params, tenant: tenantId },
  );
  return rows.map((row) => withMoney({ ...row, quantities: parseAmounts(row.quantities) }));
}

/** What a tenant cost in some days of UTC. */
export interface TenantSpend {
  readonly tenant_id: string;
  /** Plan of the newest events that have a plan. */
  readonly plan: string;
  /** Cost of all served events. */
  readonly cost: Money;
  /** The part of `cost` that belongs to calls whose usage is measured. */
  readonly spend: Money;
}

/** Returns the tenants with usage since the UTC day of `sinceMs`, highest cost first. */
export async function tenantSpend(
  clickhouse: ClickHouseReader,
  sinceMs: number,
  countMax: number,
): Promise<TenantSpend[]> {
  const rows = await clickhouse.query<MoneyAsText<TenantSpend> & { readonly spend: string }>(
    `SELECT tenant_id, argMax(plan, (plan != '', day)) AS plan, toString(sumIf(u.cost, ${served})) AS cost,
      toString(sumIf(u.cost, ${served} AND ${measured})) AS spend
    FROM usage_by_day AS u
    WHERE ${levelRange('day', 'since', null)} AND tenant_id NOT IN {others:Array(String)}
    GROUP BY tenant_id ORDER BY sumIf(u.cost, ${served}) DESC, tenant_id
    LIMIT {countMax:UInt32}`,
    { since: sinceMs, countMax, others: [anonymousTenant, heartbeatTenant] },
  );
  return rows.map((row) => ({ ...withMoney<TenantSpend>(row), spend: parseMoney(row.spend) }));
}
