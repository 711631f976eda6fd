import type { Limit, Mode, SlowDown } from './limit.ts';
import type { MeterDefinition } from './meter.ts';
import type { Price } from './money.ts';
import type { RequestReading } from './request/request-reading.ts';

export interface Plan {
  readonly name: string;
  readonly limits: readonly Limit[];
  readonly slowDown: SlowDown | null;
  readonly api: ApiLimits;
}

/** Limits of a tenant's own calls on the API listener; each list holds one limit. */
export interface ApiLimits {
  /** Calls other than decisions: usage, meters, sessions, publishing. */
  readonly requests: readonly Limit[];
  readonly events: readonly Limit[];
  readonly eventBytes: readonly Limit[];
}

export interface Route {
  /** Pattern as written: `METHOD /path`; `*` matches one segment, a final `**` zero or more. Also the `route` of events. */
  readonly match: string;
  readonly limits: readonly Limit[];
  /** The limits by plan; set only if a limit of the route varies by plan. */
  readonly limitsByPlan?: ReadonlyMap<string, readonly Limit[]>;
  /** Units of a call that states no cost. */
  readonly cost: number;
  /** Units of each WebSocket message from the client; null: messages cost nothing. */
  readonly messageCost: number | null;
  /** Money per unit, for cost reports. */
  readonly price: number;
  /** The same price for exact arithmetic. */
  readonly unitPrice: Price;
}

export interface SessionKind {
  readonly name: string;
  readonly per: readonly ('tenant' | 'user')[];
  readonly limit: number;
  readonly ttlMs: number;
}

export type JwtKeys =
  | { readonly kind: 'secret'; readonly secret: Uint8Array }
  /** `staleMsMax`: how long fetched keys stay in use while fetching fails. */
  | { readonly kind: 'jwks'; readonly url: string; readonly staleMsMax: number };

export interface JwtPolicy {
  readonly keys: JwtKeys;
  readonly algorithms: readonly string[];
  readonly issuer: string | null;
  readonly audience: string | null;
  /** Claims in order of precedence: the first one present counts. */
  readonly tenantClaims: readonly string[];
  readonly userClaim: string;
  readonly planClaim: string;
  /** Clock difference between issuer and gateway that `exp` and `nbf` tolerate. */
  readonly leewayMs: number;
  /** Whether a token without `exp` is refused. */
  readonly expiry: 'required' | 'optional';
}

export interface IdentityPolicy {
  readonly jwt: JwtPolicy | null;
  readonly anonymous: 'ip' | 'reject';
  /** CIDR blocks of proxies whose X-Forwarded-For is trusted. */
  readonly trustedProxies: readonly string[];
  /** Limit of bad credentials of one address, as a list of one. */
  readonly refused: readonly [Limit];
  /** Limit of requests of one address that cannot be served: the same values, a counter of its own. */
  readonly invalid: readonly [Limit];
}

/** Which web pages may read Tollgate's own responses (the CORS protocol of the Fetch standard). */
export interface CorsPolicy {
  /** Exact origins, e.g. `https://app.example.com`; null: every origin. */
  readonly origins: ReadonlySet<string> | null;
  /** Whether pages may read responses to requests with cookies or client certificates. */
  readonly credentials: boolean;
  /** How long a browser may cache the response to a preflight. */
  readonly maxAgeSeconds: number;
  /** Names in lower case, those of the limit headers first. */
  readonly exposedHeaders: readonly string[];
}

/** Compiled policy file: defaults filled in, durations in milliseconds, secrets read. Immutable; a reload creates a new object. */
export interface Policy {
  /** First 12 hex digits of the SHA-256 of the file: identifies the policy that decided. */
  readonly revision: string;
  readonly links: { readonly documentation: string; readonly upgrade: string };
  readonly upstream: string | null;
  readonly requests: RequestReading;
  readonly identity: IdentityPolicy;
  readonly defaultPlan: string;
  readonly plans: ReadonlyMap<string, Plan>;
  readonly routes: readonly Route[];
  readonly platform: readonly Limit[];
  /** Largest part of each concurrent platform limit that one tenant or one address may hold. */
  readonly shares: readonly Limit[];
  /** Null: the upstream answers preflights, and web pages cannot read responses of Tollgate. */
  readonly cors: CorsPolicy | null;
  /** Limit of preflights of one address; no other limit counts preflights. */
  readonly preflight: Limit;
  readonly sessions: ReadonlyMap<string, SessionKind>;
  readonly services: readonly { readonly name: string; readonly tokenSha256: string }[];
  readonly alertThresholds: readonly number[];
  /** By name. */
  readonly meters: ReadonlyMap<string, MeterDefinition>;
  readonly mode: Mode;
}
