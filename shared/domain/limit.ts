/** Whose usage a limit counts. A list means the combination: `['tenant', 'user']` counts each user of each tenant. */
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

/** One limit of a plan, a route or the platform, as compiled from the policy: everything explicit. */
export interface Limit {
  readonly name: string;
  readonly per: readonly Per[];
  readonly type: LimitType;
  /** Units. At least 0; 0 refuses everything. */
  readonly limit: number;
  /** Sliding: the span. Quota: the nominal length, for headers (a month counts 30 days). Concurrent: 0. */
  readonly windowMs: number;
  /** Set for quotas only. */
  readonly period: CalendarPeriod | null;
  /**
   * Units that a sliding window may hold above `limit`, taken from a pool of this size that refills evenly
   * over ten windows. 0 for none. Any window then holds at most `limit + burst`.
   */
  readonly burst: number;
  readonly mode: Mode;
  /** Of concurrent limits: each node counts alone, against its part of the limit, and asks nobody. */
  readonly perNode?: true;
  /** The route the limit counts, as written in the policy (`POST /agent/chat`), or null for all routes. */
  readonly route: string | null;
}

/** Graduated throttling: from `from` of a limit upwards a request is delayed, at most by `maxDelayMs` at the limit. */
export interface SlowDown {
  /** Share of the limit used, 0 to 1. */
  readonly from: number;
  readonly maxDelayMs: number;
}

/** What a window says after a decision. All windows of a request are reported, refused or not. */
export interface LimitState {
  readonly name: string;
  readonly limit: number;
  /** Units left, 0 or more. A request that is being delayed or refused has consumed nothing of it. */
  readonly remaining: number;
  /** Unix milliseconds at which the whole limit is available again if nothing more is sent. */
  readonly resetAtMs: number;
  readonly windowMs: number;
  readonly burst: number;
  /** True when this limit had no room for the request's cost. */
  readonly violated: boolean;
  /** Milliseconds until this limit has room for the cost; 0 when it has; null when it never will (cost above limit). */
  readonly retryAfterMs: number | null;
  readonly mode: Mode;
}
