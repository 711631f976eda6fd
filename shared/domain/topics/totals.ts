import type { Amount } from '../amount.ts';

/** Totals of one tenant in one period, as ClickHouse has them. `units` of allowed and shadow_limited requests consume quotas. */
export interface PeriodTotals {
  /** First day of the period, `YYYY-MM-DD`. */
  readonly start: string;
  readonly requests: number;
  readonly allowed: number;
  readonly limited: number;
  readonly bypassed: number;
  readonly errors: number;
  readonly units: Amount;
  /** Units of requests that passed under a limit (allowed, shadow_limited): what a quota has consumed. */
  readonly consumed: Amount;
  /** A number with all its digits, as `jsonMoney` writes it. Who reads it as a double has the nearest one. */
  readonly cost: number;
}

/** Value of `tollgate.totals.v1`, keyed by tenant_id, compacted: each announcement supersedes the one before. */
export interface TenantTotals {
  readonly tenant_id: string;
  readonly plan: string;
  /** IANA zone whose day and month these are; absent: UTC. */
  readonly time_zone?: string;
  readonly day: PeriodTotals;
  readonly month: PeriodTotals;
  /** Consumed units of the day by route pattern, for quotas of a route; absent: too many routes, ask ClickHouse. */
  readonly day_by_route?: Readonly<Record<string, Amount>>;
  /** Up to when usage is known to be complete: every event older than this is counted. ISO 8601. */
  readonly complete_through: string;
  readonly announced_at: string;
  /**
   * Time of the first event behind this announcement that a node decided without Redis: counters of the tenant's users
   * and addresses may lack units since. Absent: none. ISO 8601.
   */
  readonly degraded_since?: string;
}
