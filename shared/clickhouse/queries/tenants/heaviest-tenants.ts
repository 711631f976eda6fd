import type { Amount } from '../../../domain/amount.ts';
import { internalTenants } from '../../../domain/identity.ts';
import { moneyOf } from '../../../domain/money.ts';
import type { Money } from '../../../domain/money.ts';
import type { Policy } from '../../../domain/policy.ts';
import { requestEventType } from '../../../domain/usage-event.ts';
import type { ClickHouseReader } from '../../client.ts';
import { withMoney } from '../decimals.ts';
import type { MoneyAsText } from '../decimals.ts';
import { served } from '../predicates.ts';
import { levelRange } from '../usage-levels.ts';

/** Usage of one tenant over several days, for reports on growth and cost. */
export interface TenantUse {
  readonly tenant_id: string;
  readonly plan: string;
  readonly requests: number;
  readonly allowed: number;
  readonly limited: number;
  readonly units: Amount;
  /** Cost of the served requests. */
  readonly cost: Money;
  /** Cost that the refused requests would have had at the policy's prices: the money that limits saved. */
  readonly saved: Money;
}

/** Returns the tenants with usage since the UTC day of `sinceMs`, most requests first. */
export async function heaviestTenants(
  clickhouse: ClickHouseReader,
  policy: Pick<Policy, 'routes'>,
  sinceMs: number,
  countMax: number,
): Promise<readonly TenantUse[]> {
  type Row = Omit<TenantUse, 'saved'> & { readonly limited_routes: Readonly<Record<string, number>> };
  const rows = await clickhouse.query<MoneyAsText<Row>>(
    `SELECT
        tenant_id,
        argMax(plan, (plan != '', day)) AS plan,
        sumIf(u.requests, type = {requestType:String}) AS requests,
        sumIf(u.allowed, type = {requestType:String}) AS allowed,
        sumIf(u.limited, type = {requestType:String}) AS limited,
        sum(u.units) AS units,
        toString(sumIf(u.cost, ${served})) AS cost,
        sumMapIf(map(route, u.limited), u.limited > 0) AS limited_routes
    FROM usage_by_day AS u
    WHERE ${levelRange('day', 'since', null)} AND tenant_id NOT IN {internal:Array(String)}
    GROUP BY tenant_id
    ORDER BY requests DESC, tenant_id
    LIMIT {countMax:UInt32}`,
    {
      since: sinceMs,
      countMax,
      requestType: requestEventType,
      internal: internalTenants,
    },
  );
  const prices = new Map(
    policy.routes.map((route) => [route.match, moneyOf(route.price) * BigInt(route.cost)]),
  );
  return rows.map((read) => {
    const { limited_routes: routes, ...row } = withMoney<Row>(read);
    const saved = Object.entries(routes).reduce(
      (sum, [route, refused]) => sum + BigInt(refused) * (prices.get(route) ?? 0n),
      0n,
    );
    return { ...row, saved };
  });
}
