import type { Amount } from '../amount.ts';

/** Totals of one tenant in one period, read from ClickHouse. */
export interface PeriodTotals {
  /** First day of the period, `YYYY-MM-DD`. */
  readonly start: string;
  readonly requests: number;
  readonly allowed: number;
  readonly limited: number;
  readonly bypassed: number;
  readonly errors: number;
  readonly units: Amount;
  /** Units of requests that passed under a limit (allowed, shadow_limited): the consumption of a quota. */
  readonly consumed: Amount;
  /** A JSON number with all its digits, written by `jsonMoney`. Readers that use doubles get the nearest double. */
  readonly cost: number;
}

/** Value of `tollgate.totals.v1`, keyed by tenant_id, compacted: each announcement supersedes the one before. */
export interface TenantTotals {
  readonly tenant_id: string;
  readonly plan: string;
  /** IANA zone of the day and the month; absent: UTC. */
  readonly time_zone?: string;
  readonly day: PeriodTotals;
  readonly month: PeriodTotals;
  /** Consumed units of the day by route pattern, for quotas of a route; absent: too many routes, query ClickHouse. */
  readonly day_by_route?: Readonly<Record<string, Amount>>;
  /** Every event older than this time is counted. ISO 8601. */
  readonly complete_through: string;
  readonly announced_at: string;
  /**
   * Time of the first event in this announcement that a node decided without Redis, ISO 8601: since then counters of the
   * tenant's users and addresses may lack units. Absent: no such event.
   */
  readonly degraded_since?: string;
}
