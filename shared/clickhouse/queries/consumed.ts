import { charged } from './charged.ts';
import type { Amount } from '../../domain/amount.ts';
import type { ClickHouse } from '../client.ts';

/** Which units to add up: those that passed under a limit, which is what quotas count. */
export interface ConsumedQuestion {
  /** Unix milliseconds; the first instant counted. */
  readonly fromMs: number;
  /** Null: all tenants. */
  readonly tenantIds: readonly string[] | null;
}

export interface Consumed {
  readonly tenant_id: string;
  readonly route: string;
  readonly units: Amount;
  /** A plan the units were consumed under; the latest by name where there were several. */
  readonly plan: string;
}

const minuteMs = 60_000;
const hourMs = 3_600_000;

/**
 * Units consumed from `fromMs` until now by tenant and route. Whole hours are read from the hours, the rest of the first
 * hour from the minutes, the rest of the first minute from the events: a month costs some hundred rows a tenant, and a
 * start in the middle of a minute (a reset) is exact. Throws when ClickHouse does not answer.
 */
export async function readConsumed(
  clickhouse: ClickHouse,
  { fromMs, tenantIds }: ConsumedQuestion,
): Promise<Consumed[]> {
  const firstMinuteMs = Math.ceil(fromMs / minuteMs) * minuteMs;
  const firstHourMs = Math.ceil(fromMs / hourMs) * hourMs;
  const some = tenantIds === null ? '' : 'AND tenant_id IN {tenantIds:Array(String)}';
  const columns = 'tenant_id, route, units, plan';
  const passed = `${charged} ${some}`;
  const parts = [
    `SELECT ${columns} FROM usage_by_hour WHERE hour >= toDateTime({firstHour:Int64}, 'UTC') AND ${passed}`,
  ];
  if (firstMinuteMs < firstHourMs) {
    parts.push(
      `SELECT ${columns} FROM usage_by_minute WHERE minute >= toDateTime({firstMinute:Int64}, 'UTC')
       AND minute < toDateTime({firstHour:Int64}, 'UTC') AND ${passed}`,
    );
  }
  if (fromMs < firstMinuteMs) {
    parts.push(
      `SELECT ${columns} FROM usage_events WHERE time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')
       AND time < toDateTime({firstMinute:Int64}, 'UTC') AND ${passed}`,
    );
  }
  return clickhouse.query<Consumed>(
    `SELECT tenant_id, route, sum(units) AS units, max(plan) AS plan
     FROM (${parts.join('\nUNION ALL\n')}) GROUP BY tenant_id, route`,
    {
      from: fromMs,
      firstMinute: firstMinuteMs / 1000,
      firstHour: firstHourMs / 1000,
      ...(tenantIds === null ? {} : { tenantIds }),
    },
  );
}
