import { internalTenants } from '../../../domain/identity.ts';
import type { Money } from '../../../domain/money.ts';
import { periodAt } from '../../../domain/time/calendar.ts';
import type { ClickHouseReader } from '../../client.ts';
import { parseMoney } from '../decimals.ts';
import { isRequest, served } from '../predicates.ts';
import { levelRange } from '../usage-levels.ts';

/** Usage of one tenant in several spans of days (UTC), for lists of tenants. */
export interface TenantFigures {
  readonly tenant_id: string;
  /** Plan of the newest events that have a plan. */
  readonly plan: string;
  readonly requests_today: number;
  readonly limited_today: number;
  readonly cost_today: Money;
  /** Requests of the seven full days before today. */
  readonly requests_week: number;
  /** Requests of the seven full days before these. */
  readonly requests_week_before: number;
  /** Refused requests of the seven full days before today. */
  readonly limited_week: number;
  /** Cost of the served requests of this month. */
  readonly cost_month: Money;
}

type Row = Omit<TenantFigures, 'cost_today' | 'cost_month'> & {
  readonly cost_today: string;
  readonly cost_month: string;
};

const dayMs = 86_400_000;

/** Returns the figures of all tenants with usage in the last two weeks or in this month. The query reads totals of days only. */
export async function tenantFigures(
  clickhouse: ClickHouseReader,
  nowMs: number,
  countMax: number,
): Promise<TenantFigures[]> {
  const monthStartMs = periodAt('month', null, nowMs).startMs;
  const todayMs = Math.floor(nowMs / dayMs) * dayMs;
  const day = (name: string): string => `toDate(fromUnixTimestamp64Milli({${name}:Int64}, 'UTC'))`;
  const week = `day >= ${day('week')} AND day < ${day('today')}`;
  const rows = await clickhouse.query<Row>(
    `SELECT
        tenant_id,
        argMax(plan, (plan != '', day)) AS plan,
        sumIf(u.requests, ${isRequest} AND day >= ${day('today')}) AS requests_today,
        sumIf(u.limited, ${isRequest} AND day >= ${day('today')}) AS limited_today,
        toString(sumIf(u.cost, ${served} AND day >= ${day('today')})) AS cost_today,
        sumIf(u.requests, ${isRequest} AND ${week}) AS requests_week,
        sumIf(u.requests, ${isRequest} AND day >= ${day('before')} AND day < ${day('week')}) AS requests_week_before,
        sumIf(u.limited, ${isRequest} AND ${week}) AS limited_week,
        toString(sumIf(u.cost, ${served} AND day >= ${day('month')})) AS cost_month
    FROM usage_by_day AS u
    WHERE ${levelRange('day', 'since', null)} AND tenant_id NOT IN {internal:Array(String)}
    GROUP BY tenant_id
    ORDER BY requests_today DESC, tenant_id
    LIMIT {countMax:UInt32}`,
    {
      since: Math.min(monthStartMs, todayMs - 14 * dayMs),
      today: todayMs,
      week: todayMs - 7 * dayMs,
      before: todayMs - 14 * dayMs,
      month: monthStartMs,
      internal: internalTenants,
      countMax,
    },
  );
  return rows.map((row) => ({
    ...row,
    cost_today: parseMoney(row.cost_today),
    cost_month: parseMoney(row.cost_month),
  }));
}
