import type { Outcome } from './decision.ts';

/** CloudEvents type of the event of a request; every request that received a response has exactly one. */
export const requestEventType = 'tollgate.request.v1';

/**
 * CloudEvents type of a refund: units returned to the limits of a caller. `data.units` is their number; they are stored
 * negated, so that a sum of units is the final usage.
 */
export const refundEventType = 'tollgate.refund.v1';

/**
 * Usage event on `tollgate.usage.v1`: CloudEvents 1.0, structured JSON mode. `source` and `id` identify it; `subject` is the
 * tenant.
 */
export interface UsageCloudEvent<Data = unknown> {
  readonly specversion: '1.0';
  /** UUIDv7 of a request, fixed once at the gateway; for other events any text of at most 256 characters. */
  readonly id: string;
  /** `tollgate/<node>` for requests. */
  readonly source: string;
  readonly type: string;
  /** ISO 8601, milliseconds, UTC. Fixed once, before the first write. */
  readonly time: string;
  readonly subject: string;
  readonly datacontenttype: 'application/json';
  readonly data: Data;
  /** Id of the spool run that numbered the event, see `spool-run.ts`. Written by the gateway. */
  readonly spool?: string;
  /** Sequence number of the event in that run. */
  readonly spoolsequence?: number;
}

/** `data` of a `tollgate.request.v1`. */
export interface RequestData {
  readonly user_id: string;
  readonly plan: string;
  readonly method: string;
  /** Match pattern of the policy's route (`POST /agent/chat`), or `*` if no route matched, so that its values are bounded. */
  readonly route: string;
  /** Path without query, truncated to 256 characters. */
  readonly path: string;
  readonly status: number;
  readonly decision: Outcome;
  /** Names of the limits that the request exceeded, or another reason of a refusal: `blocked`, `unauthenticated`, … */
  readonly limited_by: readonly string[];
  readonly units: number;
  /** Money: units × price of the route, exact; a decimal text if a number cannot hold the digits. */
  readonly cost: number | string;
  readonly latency_ms: number;
  readonly check_us: number;
  readonly node: string;
  /** Sequence number in the spool of this node; a gap is a loss. */
  readonly sequence: number;
  readonly degraded: boolean;
  readonly client_ip: string;
  readonly service: string;
  /** Entrypoint of the request: proxy, plugin, check, authz, rls. */
  readonly entrypoint: string;
  /**
   * Number of requests that this event represents, its own included; absent: 1. Floods of refused credentials and of
   * requests that cannot be served are sampled.
   */
  readonly sample_weight?: number;
}

export type RequestEvent = UsageCloudEvent<RequestData>;

/** `data` of a `tollgate.refund.v1`. */
export type RefundData = Pick<RequestData, 'user_id' | 'plan' | 'route' | 'units' | 'cost'>;

/** Tenant of requests without a tenant, because events need a subject. Counted, but not a customer. */
export const anonymousTenant = 'anonymous';
