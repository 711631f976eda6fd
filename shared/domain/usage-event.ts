import type { Outcome } from './decision.ts';

/** CloudEvents type of the one event every answered request leaves. */
export const requestEventType = 'tollgate.request.v1';

/**
 * CloudEvents type of units that were returned to the limits of a caller. `data.units` is how many; they are stored with
 * a minus, so that a sum of units is what was used in the end.
 */
export const refundEventType = 'tollgate.refund.v1';

/**
 * A usage event as it stands on `tollgate.usage.v1`: CloudEvents 1.0, structured JSON mode.
 * Identity is (source, id). `subject` is the tenant.
 */
export interface UsageCloudEvent<Data = unknown> {
  readonly specversion: '1.0';
  /** UUIDv7 for a request, fixed once at the gateway; free text of at most 256 characters for others. */
  readonly id: string;
  /** `tollgate/<node>` for requests. */
  readonly source: string;
  readonly type: string;
  /** ISO 8601, milliseconds, UTC. Fixed once, before the first write. */
  readonly time: string;
  readonly subject: string;
  readonly datacontenttype: 'application/json';
  readonly data: Data;
  /** Written by the gateway's spool, see `spool-run.ts`: the run that numbered the event, … */
  readonly spool?: string;
  /** … and its number in it. */
  readonly spoolsequence?: number;
}

/** `data` of a `tollgate.request.v1`. */
export interface RequestData {
  readonly user_id: string;
  readonly plan: string;
  readonly method: string;
  /** The policy's match pattern (`POST /agent/chat`), or `*` when no route of the policy matched: bounded. */
  readonly route: string;
  /** Path without query, cut at 256 characters. */
  readonly path: string;
  readonly status: number;
  readonly decision: Outcome;
  /** Names of limits without room; `blocked`, `unauthenticated` and the like stand here too. */
  readonly limited_by: readonly string[];
  readonly units: number;
  /** Money: units × the route's price, exact; a decimal text where a number cannot hold its digits. */
  readonly cost: number | string;
  readonly latency_ms: number;
  readonly check_us: number;
  readonly node: string;
  /** Counts up by one per event of this node's spool; a gap is a loss. */
  readonly sequence: number;
  readonly degraded: boolean;
  readonly client_ip: string;
  readonly service: string;
  /** The entrypoint it came through: proxy, plugin, check, authz, rls. */
  readonly entrypoint: string;
  /**
   * How many requests this event stands for, itself included. Set where only one of so many is written, which happens to
   * floods of refused credentials and of requests that cannot be served; absent: 1.
   */
  readonly sample_weight?: number;
}

export type RequestEvent = UsageCloudEvent<RequestData>;

/** `data` of a `tollgate.refund.v1`. */
export type RefundData = Pick<RequestData, 'user_id' | 'plan' | 'route' | 'units' | 'cost'>;

/** Tenant of requests without one: events need a subject. Counted, but never a customer. */
export const anonymousTenant = 'anonymous';
