/** Whose usage a limit counts. A list is a combination: `['tenant', 'user']` counts each user of each tenant. */
export type Per = 'tenant' | 'user' | 'ip' | 'global';

/**
 * - `sliding`: never more than `limit` units in any span of `window`.
 * - `quota`: never more than `limit` units in a calendar period (UTC unless the tenant's record names a zone).
 * - `concurrent`: never more than `limit` requests at once.
 */
export type LimitType = 'sliding' | 'quota' | 'concurrent';

export type CalendarPeriod = 'hour' | 'day' | 'week' | 'month';

/** `enforce` refuses; `shadow` decides and records, and lets the request pass. */
export type Mode = 'enforce' | 'shadow';

/** One limit of a plan, a route or the platform, compiled from the policy with all defaults filled in. */
export interface Limit {
  readonly name: string;
  readonly per: readonly Per[];
  readonly type: LimitType;
  /** Units, 0 or more; 0 refuses every request. */
  readonly limit: number;
  /** Sliding: the span. Quota: the nominal length, for headers (a month counts 30 days). Concurrent: 0. */
  readonly windowMs: number;
  /** Calendar period of a quota; null for other types. */
  readonly period: CalendarPeriod | null;
  /**
   * Units above `limit` that a sliding window may hold, from a pool of this size that refills evenly over ten windows; 0
   * for no burst. Any window then holds at most `limit + burst` units.
   */
  readonly burst: number;
  readonly mode: Mode;
  /** Concurrent limits only: each node counts by itself against its part of the limit, without Redis. */
  readonly perNode?: true;
  /** Route that the limit counts, as written in the policy (`POST /agent/chat`); null for all routes. */
  readonly route: string | null;
}

/** Delays requests gradually from the share `from` of a limit upwards, by `maxDelayMs` at the limit. */
export interface SlowDown {
  /** Share of the limit used, 0 to 1. */
  readonly from: number;
  readonly maxDelayMs: number;
}

/** State of one window after a decision. All windows of a request are reported, also if another window refused it. */
export interface LimitState {
  readonly name: string;
  readonly limit: number;
  /** Units left, 0 or more. A refused request has consumed none of them. */
  readonly remaining: number;
  /** Unix milliseconds at which the full limit is available again if no further request arrives. */
  readonly resetAtMs: number;
  readonly windowMs: number;
  readonly burst: number;
  /** True if this limit had too few units for the cost of the request. */
  readonly violated: boolean;
  /** Milliseconds until this limit has units for the cost; 0 if it has them now; null if never (the cost is above the limit). */
  readonly retryAfterMs: number | null;
  readonly mode: Mode;
}
