import type { ExactAmounts } from '../../../domain/events/call-usage.ts';
import type { Money } from '../../../domain/money.ts';
import { anonymousTenant } from '../../../domain/usage-event.ts';
import { heartbeatTenant } from '../../../domain/identity.ts';
import type { ClickHouseReader, Params } from '../../client.ts';
import { amountsText, parseAmounts, parseMoney, withMoney } from '../decimals.ts';
import type { AmountsAsText, MoneyAsText } from '../decimals.ts';
import { measured, served } from '../predicates.ts';
import type { Span } from '../period-totals.ts';
import { levelRange, usageRows } from '../usage-levels.ts';

/** Served calls of a tenant whose usage is measured, by one property. Open reservations are included. */
export interface SpendBy {
  /** The day (`2026-11-27`), route, user or model; empty: calls without a user or a model. */
  readonly name: string;
  readonly calls: number;
  readonly cost: Money;
  readonly quantities: ExactAmounts;
}

export interface SpendQuery {
  readonly tenantId: string;
  readonly by: 'day' | 'route' | 'user' | 'model';
  /** Adjoining spans, in order of time. For spend by day: the days of the tenant. */
  readonly spans: readonly Span[];
  /** Time zone of the days. */
  readonly zone: string;
}

/** Most rows by user: those with the highest cost. */
export const spendingUsersMax = 50;
const rowsMax = 10_000;
const valueOf = {
  day: `toString(toDate(toTimeZone(u.at, {zone:String})))`,
  route: 'u.route',
  user: 'u.user_id',
  model: 'u.model',
} as const;

/**
 * Returns what a tenant spent by one property, highest cost first; days in order of time. The totals do not contain users, so
 * spend by user reads all events of the spans, which takes longer.
 */
export async function spendBy(
  clickhouse: ClickHouseReader,
  { tenantId, by, spans, zone }: SpendQuery,
): Promise<SpendBy[]> {
  const where = `tenant_id = {tenant:String} AND ${served} AND ${measured}`;
  const source =
    by === 'user'
      ? eventRows(spans, where)
      : usageRows(spans, { columns: 'model, route, requests, cost, quantities', where });
  const rows = await clickhouse.query<
    Omit<MoneyAsText<SpendBy>, 'quantities'> & { readonly quantities: AmountsAsText }
  >(
    `SELECT ${valueOf[by]} AS name, sum(u.requests) AS calls, toString(sum(u.cost)) AS cost,
      ${amountsText('sumMap(u.quantities)')} AS quantities
    FROM (${source.sql}) AS u GROUP BY name ORDER BY ${by === 'day' ? '' : 'sum(u.cost) DESC, '}name
    LIMIT {rowsMax:UInt32}`,
    { ...source.params, tenant: tenantId, zone, rowsMax: by === 'user' ? spendingUsersMax : rowsMax },
  );
  return rows.map((row) => withMoney({ ...row, quantities: parseAmounts(row.quantities) }));
}

function eventRows(spans: readonly Span[], where: string): { readonly sql: string; readonly params: Params } {
  return {
    sql: `SELECT user_id, toUInt64(1) AS requests, cost, quantities, time AS at FROM usage_events
      WHERE ${levelRange('event', 'from', 'to')} AND ${where}`,
    params: { from: spans[0]?.startMs ?? 0, to: spans.at(-1)?.endMs ?? 0 },
  };
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
