import type { Outcome } from './decision.ts';
import type { Measures, UsageSource } from './usage/measures.ts';

/**
 * CloudEvents type of the event of a request. Exactly one event is published for every request that received a
 * response.
 */
export const requestEventType = 'tollgate.request.v1';

/**
 * CloudEvents type of a refund, which returns units to the limits of a caller. The event's `data.units` is positive,
 * but the units are stored negated, so that a sum of units is the final usage.
 */
export const refundEventType = 'tollgate.refund.v1';

const gatewaySourcePrefix = 'tollgate/';

/** True if a gateway sent the event. Events with such a source are not accepted over HTTP. */
export function isGatewaySource(source: string): boolean {
  return source.startsWith(gatewaySourcePrefix);
}

/**
 * A usage event on `tollgate.usage.v1`, in CloudEvents 1.0 structured JSON mode. `source` and `id` together identify
 * it; `subject` is the tenant.
 */
export interface UsageCloudEvent<Data = unknown> {
  readonly specversion: '1.0';
  /** For a request: a UUIDv7 that the gateway assigns once. For other events: any text of at most 256 characters. */
  readonly id: string;
  /** For a request: `tollgate/<node>`. */
  readonly source: string;
  readonly type: string;
  /** Time of the event in UTC, ISO 8601 with milliseconds. It is assigned once, before the event is first written. */
  readonly time: string;
  readonly subject: string;
  readonly datacontenttype: 'application/json';
  readonly data: Data;
  /** The span of the request, if it is recorded: an extension attribute, see the distributed tracing extension of CloudEvents. */
  readonly traceparent?: string;
  /** Id of the spool run that assigned `spoolsequence`, see `spool-run.ts`. The gateway writes it. */
  readonly spool?: string;
  /** Sequence number of the event in the spool run. */
  readonly spoolsequence?: number;
}

/**
 * Amounts by the name of their quantity, in the unit of the quantity: 1.5 of `usd`. A number, or a decimal text if a
 * number cannot hold all digits. At most 12 decimals.
 */
export type DecimalAmounts = Readonly<Record<string, number | string>>;

/** Usage of one call to an upstream beyond its units. Only gateways write it. */
export interface CallUsageData {
  /** Model that the caller requested. It is a dimension of the totals, so the number of models must be bounded. */
  readonly model?: string;
  /**
   * What quotas count: the reserved amounts while the reservation is open, then the actual amounts. Without `requests`,
   * which are in `units`.
   */
  readonly quantities?: DecimalAmounts;
  readonly measures?: Measures;
  readonly usage_source?: UsageSource;
}

export const reservationStates = ['open', 'settled', 'cancelled'] as const;

export type ReservationState = (typeof reservationStates)[number];

/** A reservation in the event of its call. An open reservation whose `expires_at` has passed is called expired. */
export interface ReservationData {
  /** Absent: the id of the event. */
  readonly id?: string;
  readonly state: ReservationState;
  /** Reserved amounts, extensions included. */
  readonly reserved: DecimalAmounts;
  /** RFC 3339. */
  readonly expires_at: string;
}

/** The field `data` of a `tollgate.request.v1` event. */
export interface RequestData extends CallUsageData {
  readonly user_id: string;
  readonly plan: string;
  readonly method: string;
  /**
   * Pattern of the policy's route (`POST /agent/chat`), or `*` if no route matched. The number of different values is
   * therefore bounded.
   */
  readonly route: string;
  /** Path without the query, truncated to 256 characters. */
  readonly path: string;
  readonly status: number;
  readonly decision: Outcome;
  /**
   * Names of the limits that the request exceeded. If the request was refused for another reason, the list contains
   * that reason (`blocked`, `unauthenticated`, …).
   */
  readonly limited_by: readonly string[];
  readonly units: number;
  /** Money: units multiplied by the route's price, exact. A decimal text if a number cannot hold all digits. */
  readonly cost: number | string;
  readonly latency_ms: number;
  readonly check_us: number;
  readonly node: string;
  /** Sequence number of the event in the node's spool; a gap is a loss. */
  readonly sequence: number;
  readonly degraded: boolean;
  readonly client_ip: string;
  readonly service: string;
  /** Id of the API key of the request, see `apiKeyId`; absent if the request has none. */
  readonly api_key?: string;
  /** Entrypoint that received the request: proxy, websocket, plugin, middleware, check, authz, ext_authz, rls or api. */
  readonly entrypoint: string;
  /** Revision of the policy that decided, see `Policy.revision`; absent in events of older releases. */
  readonly policy_revision?: string;
  /**
   * Microseconds from the time of the event to its decision in Redis, by the clock of Redis. Absent: 0, or the limits were not
   * checked in Redis. It states the order of the decisions of all gateways, which a backtest needs.
   */
  readonly decided_after_us?: number;
  /**
   * Number of requests that this event represents, including its own; absent: 1. During a flood of invalid
   * credentials or of requests that cannot be served, the gateway publishes only a sample of the events.
   */
  readonly sample_weight?: number;
  readonly reservation?: ReservationData;
}

export type RequestEvent = UsageCloudEvent<RequestData>;

/** The field `data` of a `tollgate.refund.v1` event. */
export type RefundData = Pick<RequestData, 'user_id' | 'plan' | 'route' | 'units' | 'cost'>;

/**
 * Tenant id in events of requests without a tenant, because an event must have a subject. It is counted, but it is
 * not a customer.
 */
export const anonymousTenant = 'anonymous';
