import type { Money } from '../../../domain/money.ts';
import { requestEventType } from '../../../domain/usage-event.ts';
import type { ClickHouseReader } from '../../client.ts';
import { withMoney } from '../decimals.ts';
import type { MoneyAsText } from '../decimals.ts';
import { refused, served } from '../predicates.ts';
import { levelRange } from '../usage-levels.ts';

/** Requests of a tenant on one route or of one user. */
export interface UsageShare {
  /** Empty: requests without a user. */
  readonly key: string;
  readonly requests: number;
  readonly limited: number;
  /** Cost of the served requests. */
  readonly cost: Money;
}

/**
 * Returns the routes or users of a tenant with the most requests since the hour that contains `sinceMs`. Totals do not contain users,
 * so users are read from events, which takes longer.
 */
export async function usageShares(
  clickhouse: ClickHouseReader,
  tenantId: string,
  { by, sinceMs }: { readonly by: 'route' | 'user'; readonly sinceMs: number },
  countMax: number,
): Promise<UsageShare[]> {
  const { key, table, level, requests } = sources[by];
  const rows = await clickhouse.query<MoneyAsText<UsageShare>>(
    `SELECT toString(${key}) AS key, sum(${requests}) AS requests, sumIf(${requests}, ${refused}) AS limited,
      toString(sumIf(u.cost, ${served})) AS cost
    FROM ${table} AS u
    WHERE tenant_id = {tenant:String} AND type = {requestType:String} AND ${levelRange(level, 'since', null)}
    GROUP BY key ORDER BY requests DESC, key LIMIT {countMax:UInt32}`,
    { tenant: tenantId, requestType: requestEventType, since: hourOf(sinceMs), countMax },
  );
  return rows.map((row) => withMoney<UsageShare>(row));
}

const sources = {
  route: { key: 'u.route', table: 'usage_by_hour', level: 'hour', requests: 'u.requests' },
  user: { key: 'u.user_id', table: 'usage_events', level: 'event', requests: '1' },
} as const;

/** Start of the hour that contains a time, Unix milliseconds. */
export function hourOf(timeMs: number): number {
  return timeMs - (timeMs % 3_600_000);
}
