/**
 * The unit of counting of a limit. `['tenant', 'user']` means that each user of each tenant has a counter of its own.
 */
export type Per = 'tenant' | 'user' | 'ip' | 'global' | 'group';

const callerWords: ReadonlySet<string> = new Set<Per>(['tenant', 'user', 'ip', 'global', 'group']);

/** Values of the attributes of a request, by name. */
export type Attributes = Readonly<Record<string, string>>;

/** The attributes that a limit counts: `key` (the API key) and attributes that the policy defines. */
export function attributeNames({ per }: Pick<Limit, 'per'>): readonly string[] {
  return per.filter((word) => !callerWords.has(word));
}

/**
 * - `sliding`: never more than `limit` units in any span of `window`.
 * - `quota`: never more than `limit` units in a calendar period (UTC unless the tenant's record names a zone).
 * - `concurrent`: never more than `limit` requests at once.
 */
export type LimitType = 'sliding' | 'quota' | 'concurrent';

export type CalendarPeriod = 'hour' | 'day' | 'week' | 'month';

/**
 * `enforce`: the limit refuses requests. `shadow`: the limit is evaluated and its result is recorded, but the request
 * passes.
 */
export type Mode = 'enforce' | 'shadow';

/**
 * How much of a quota is carried over: what the period before has left of `base`, up to `most`. Units that were carried
 * over into a period are used last, so they are not carried over again.
 */
export interface CarryOver {
  /** The limit without boosts. */
  readonly base: number;
  readonly most: number;
}

/** One limit of a plan, a route or the platform, compiled from the policy. All defaults are filled in. */
export interface Limit {
  readonly name: string;
  /** Name of the quantity that the limit counts: `requests` (units), or a quantity of the policy. */
  readonly of: string;
  /** Words of `Per`, and names of attributes. A limit of attributes counts their values for each tenant. */
  readonly per: readonly string[];
  readonly type: LimitType;
  /** Units, or smallest units of another quantity, 0 or more; 0 refuses every request. */
  readonly limit: number;
  /**
   * Sliding: length of the window. Quota: nominal length of the period, for headers (a month has 30 days).
   * Concurrent: 0.
   */
  readonly windowMs: number;
  /** Calendar period of a quota; null for other types. */
  readonly period: CalendarPeriod | null;
  /** Day on which the months of a quota begin for tenants without a billing day. Absent: the first. */
  readonly billingDay?: number;
  /** Set for a quota whose unused units are carried over into the next period. */
  readonly carryOver?: CarryOver;
  /**
   * Burst of a sliding window: extra units, taken from a pool of this size that refills evenly over ten windows. Any
   * window then holds at most `limit + burst` units. 0: no burst.
   */
  readonly burst: number;
  readonly mode: Mode;
  /** False: units of this limit are never leased, so Redis counts each one when it is used. */
  readonly lease?: false;
  /** Concurrent limits only. True: each node counts for itself against its share of the limit, without Redis. */
  readonly perNode?: true;
  /** The policy's pattern of the route whose requests the limit counts (`POST /agent/chat`); null: all routes. */
  readonly route: string | null;
}

/**
 * Slow-down: from the share `from` of a limit upwards, requests are delayed; the delay grows to `maxDelayMs` at the
 * full limit.
 */
export interface SlowDown {
  /** Share of the limit used, 0 to 1. */
  readonly from: number;
  readonly maxDelayMs: number;
}

/** Which requests keep the units that were charged for them before they were served. */
export interface ChargeRule {
  /** Statuses of responses whose units are given back. */
  readonly unlessStatus: ReadonlySet<number>;
}

/**
 * State of the window of one limit after a decision. A decision reports the states of all its limits, also if one of
 * them refused the request.
 */
export interface LimitState {
  readonly name: string;
  /** Name of the quantity that the limit counts. `limit`, `remaining` and `burst` are in its smallest units. */
  readonly of: string;
  readonly limit: number;
  /** The part of `limit` that was carried over from the period before; absent: none. */
  readonly carried?: number;
  /** Units left, 0 or more. If the request was refused, it consumed none of them. */
  readonly remaining: number;
  /** Unix milliseconds at which all units of the limit are available again if no further request arrives. */
  readonly resetAtMs: number;
  readonly windowMs: number;
  readonly burst: number;
  /** True if the cost of the request exceeds the units left. */
  readonly violated: boolean;
  /**
   * Milliseconds until this limit has enough units for the cost. 0: it has enough now. Null: never, because the cost
   * exceeds the limit.
   */
  readonly retryAfterMs: number | null;
  readonly mode: Mode;
  /** Set if the decision was to read it, and Redis responded. */
  readonly use?: LimitUse;
}

/** How the units of a window are used. Both together exceed the limit if calls used more than they reserved. */
export interface LimitUse {
  /** Units that are final. */
  readonly used: number;
  /** Units that open reservations hold. */
  readonly reserved: number;
}
