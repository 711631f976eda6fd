/** A request that the application serves and Tollgate decides about. Names are those of the HTTP API. */
export interface CheckRequest {
  readonly method: string;
  readonly path: string;
  /** The tenant of the request. A tenant's own credential may omit it. */
  readonly tenant_id?: string;
  readonly user?: string;
  /** Address of the client, for limits that count addresses. For services only. */
  readonly ip?: string;
  /** The plan that applies if the tenant's record names none. For services only. */
  readonly plan?: string;
  /** Units, a whole number from 1. Absent: the cost of the route. */
  readonly cost?: number;
  /** Attributes that limits count, by name. For services only. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** True to read the limits without consuming units. */
  readonly peek?: boolean;
}

/** Amounts by quantity, in the unit of the quantity; a decimal text where a number cannot hold the digits. */
export type Amounts = Readonly<Record<string, number | string>>;

/** A limit and its state. */
export interface Limit {
  readonly name: string;
  /** Units, or an amount in the unit of the limit's quantity: a decimal text where a number cannot hold its digits. */
  readonly limit: number | string;
  readonly remaining: number | string;
  /** Unix seconds at which the complete limit is available again. */
  readonly reset: number;
  /** 0 for concurrent limits. */
  readonly window_seconds: number;
  readonly mode: string;
  readonly exceeded: boolean;
}

/** An error response (RFC 9457). */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly [extension: string]: unknown;
}

export interface Decision {
  readonly allowed: boolean;
  /**
   * True if Tollgate decided. False if it did not answer in time or refused the call itself: `allowed` is then the
   * client's `onFailure`.
   */
  readonly decided: boolean;
  /** Id for `GET /v1/decisions/{id}` and for outcomes; null if Tollgate did not decide. */
  readonly decision_id: string | null;
  readonly limits: readonly Limit[];
  /** Milliseconds by which the application has to delay the request. */
  readonly delay_ms: number;
  /** True if Tollgate decided without Redis. */
  readonly degraded: boolean;
  /** Header fields for the response to the client. */
  readonly headers: Readonly<Record<string, string>>;
  /** What was reserved; absent if the request was refused or reserved nothing. */
  readonly reservation?: {
    readonly id: string;
    readonly amounts: Amounts;
    readonly expires_at: string;
    /** True if an earlier attempt made this reservation: nothing was charged again. */
    readonly repeated: boolean;
  };
  /** Status and body of the response to the client, if the request is refused. */
  readonly problem?: Problem;
  readonly retry_after_seconds?: number;
}

/** The result of a request that was served after a check. */
export interface Outcome {
  readonly decision_id: string;
  readonly status: number;
  readonly latency_ms: number;
}

/** A limit with its use. `left` is exactly `limit` minus `used` minus `reserved`. All three are null if `degraded` is true. */
export interface LimitUsage extends Limit {
  /** The quantity of the policy that is counted, in its unit; absent: units of requests. */
  readonly quantity?: string;
  /** Final usage in the window. */
  readonly used: number | string | null;
  /** Amounts of calls in progress and of expired reservations in the window. */
  readonly reserved: number | string | null;
  /** Negative if calls used more than they reserved. */
  readonly left: number | string | null;
}

export interface Usage {
  readonly tenant_id: string;
  readonly plan: string;
  readonly limits: readonly LimitUsage[];
  readonly degraded: boolean;
  /** Totals of the current day; null if they cannot be read now, never zero because of an error. */
  readonly today: {
    readonly requests: number;
    readonly allowed: number;
    readonly limited: number;
    readonly units: number | null;
    readonly cost: number;
    /** Amounts by quantity of the policy, in its unit: used and reserved together. */
    readonly quantities: Readonly<Record<string, number>>;
    /** The part of `quantities` that belongs to calls in progress and to expired reservations. */
    readonly reserved: Readonly<Record<string, number>>;
  } | null;
  readonly today_unavailable?: string;
  /** Every event that was published before this time is counted in `today`. */
  readonly complete_through: string | null;
}

export interface MeterQuery {
  /** RFC 3339; inclusive. */
  readonly from: string;
  /** RFC 3339; exclusive. Absent: now. */
  readonly to?: string;
  readonly window?: 'minute' | 'hour' | 'day' | 'month';
  /** IANA zone in which days and months begin. */
  readonly time_zone?: string;
  /** Fields of the meter's `group_by`. */
  readonly group_by?: readonly string[];
  /** For services: the tenant whose usage is returned. */
  readonly tenant_id?: string;
}

export interface MeterValues {
  readonly meter: string;
  readonly tenant_id: string;
  readonly rows: readonly {
    readonly window_start: string;
    readonly window_end: string;
    readonly group?: Readonly<Record<string, string>>;
    readonly value: number | string | null;
  }[];
  readonly complete_through: string | null;
  /** Time from which the rows are complete, because older events are deleted; null: from the start. */
  readonly complete_from: string | null;
}
