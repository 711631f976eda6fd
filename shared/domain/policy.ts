import type { ChargeRule, Limit, Mode, SlowDown } from './limit.ts';
import type { MeterDefinition } from './meter.ts';
import type { Money, Price } from './money.ts';
import type { RequestReading } from './request/request-reading.ts';
import type { PriceList } from './usage/prices.ts';
import type { Quantity } from './usage/quantity.ts';
import type { ReserveOptions, UsageReading } from './usage/usage-reading.ts';

export interface Plan {
  readonly name: string;
  readonly limits: readonly Limit[];
  readonly slowDown: SlowDown | null;
  readonly charge: ChargeRule | null;
  readonly api: ApiLimits;
  /** What a tenant of the plan pays for a calendar month; null: the policy states no price. */
  readonly price: Money | null;
}

/** Limits of a tenant's own calls on the API listener. Each list holds exactly one limit. */
export interface ApiLimits {
  /** Limit of all calls except decisions: usage, meters, sessions, publishing. */
  readonly requests: readonly Limit[];
  readonly events: readonly Limit[];
  readonly eventBytes: readonly Limit[];
}

export interface Route {
  /**
   * Pattern in the policy file: `METHOD /path`. `*` matches one segment; a final `**` matches zero or more. Events
   * have this pattern as their `route`.
   */
  readonly match: string;
  /** True if no limit applies to its requests, and their units are 0. */
  readonly exempt: boolean;
  readonly limits: readonly Limit[];
  /** The route's limits by plan; set only if a limit of the route differs between plans. */
  readonly limitsByPlan?: ReadonlyMap<string, readonly Limit[]>;
  /** Cost in units of a request that states none. */
  readonly cost: number;
  /** Cost in units of each WebSocket message that the client sends; null: messages cost nothing. */
  readonly messageCost: number | null;
  /** Price of a unit, for cost reports. */
  readonly price: number;
  /** The same price as a fraction, for exact arithmetic. */
  readonly unitPrice: Price;
  /** How the usage of the route's calls is read; null: it is not read, and no limit of another quantity applies. */
  readonly usage: UsageReading | null;
  readonly reserve: ReserveOptions;
  /** Null: the rule of the plan applies. */
  readonly charge: ChargeRule | null;
}

export interface SessionKind {
  readonly name: string;
  readonly per: readonly ('tenant' | 'user')[];
  readonly limit: number;
  readonly ttlMs: number;
}

export type JwtKeys =
  | { readonly kind: 'secret'; readonly secret: Uint8Array }
  /** `staleMsMax`: how long keys that were fetched earlier stay in use while new fetches fail. */
  | { readonly kind: 'jwks'; readonly url: string; readonly staleMsMax: number };

export interface JwtPolicy {
  readonly keys: JwtKeys;
  readonly algorithms: readonly string[];
  readonly issuer: string | null;
  readonly audience: string | null;
  /** Claims that are attributes, by name of the attribute. */
  readonly attributeClaims: ReadonlyMap<string, string>;
  /** Names of claims in order of precedence: the first claim that the token has is used. */
  readonly tenantClaims: readonly string[];
  readonly userClaim: string;
  readonly planClaim: string;
  /** Largest clock difference between issuer and gateway that the checks of `exp` and `nbf` tolerate. */
  readonly leewayMs: number;
  /** Whether a token must have an `exp` claim. */
  readonly expiry: 'required' | 'optional';
}

/** Where the value of an attribute is: the API key, the request's model, a claim or a header field in lower case. */
export type AttributeSource =
  | { readonly kind: 'key' }
  | { readonly kind: 'model' }
  | { readonly kind: 'claim'; readonly claim: string }
  | { readonly kind: 'header'; readonly header: string };

export interface IdentityPolicy {
  readonly jwt: JwtPolicy | null;
  readonly anonymous: 'ip' | 'reject';
  /** CIDR blocks of proxies whose X-Forwarded-For is trusted. */
  readonly trustedProxies: readonly string[];
  /** Limit of invalid credentials from one address. The list has one element. */
  readonly refused: readonly [Limit];
  /**
   * Limit of requests from one address that cannot be served. It has the same values as `refused` but its own
   * counter.
   */
  readonly invalid: readonly [Limit];
}

/** Which web pages may read Tollgate's own responses: settings of the CORS protocol (Fetch standard). */
export interface CorsPolicy {
  /** Exact origins, e.g. `https://app.example.com`; null: every origin. */
  readonly origins: ReadonlySet<string> | null;
  /** Whether pages may read responses to requests that carry cookies or client certificates. */
  readonly credentials: boolean;
  /** How long a browser may cache the response to a preflight. */
  readonly maxAgeSeconds: number;
  /** Names of response headers in lower case; the limit headers come first. */
  readonly exposedHeaders: readonly string[];
}

/** What tenants may do in their portal. */
export interface PortalPolicy {
  /** `manage`: create, roll and revoke API keys. `view`: see them. `off`: the portal does not show them. */
  readonly keys: 'manage' | 'view' | 'off';
}

/**
 * Compiled policy file. Defaults are filled in, durations are in milliseconds, and secrets are read. Immutable: a
 * reload creates a new object.
 */
export interface Policy {
  /** First 12 hex digits of the file's SHA-256. Decisions record it to identify the policy that was in force. */
  readonly revision: string;
  readonly links: { readonly documentation: string; readonly upgrade: string };
  /** ISO 4217 code of the currency of all prices and costs; null: the policy names none. */
  readonly currency: string | null;
  readonly portal: PortalPolicy;
  readonly upstream: string | null;
  readonly requests: RequestReading;
  readonly identity: IdentityPolicy;
  readonly defaultPlan: string;
  readonly plans: ReadonlyMap<string, Plan>;
  readonly routes: readonly Route[];
  /** Addresses and CIDR blocks of clients to which no limit applies. */
  readonly exemptAddresses: readonly string[];
  readonly platform: readonly Limit[];
  /** Quantities that limits may count besides `requests`, by name. */
  readonly quantities: ReadonlyMap<string, Quantity>;
  /** Limits of groups of tenants, by the group that records name. `*`: of groups that have none of their own. */
  readonly groups: ReadonlyMap<string, readonly Limit[]>;
  /** Attributes that limits may count, by name; with `key`. */
  readonly attributes: ReadonlyMap<string, AttributeSource>;
  /** Whether a limit counts an attribute. */
  readonly countsAttributes: boolean;
  /** Prices of the measures of a call, by model. Empty: calls have no cost by usage. */
  readonly prices: PriceList;
  /** Limits of the share of each concurrent platform limit that a single tenant or a single address may hold. */
  readonly shares: readonly Limit[];
  /** Null: the upstream answers preflights, and web pages cannot read Tollgate's own responses. */
  readonly cors: CorsPolicy | null;
  /** Limit of preflight requests from one address. No other limit counts preflights. */
  readonly preflight: Limit;
  readonly sessions: ReadonlyMap<string, SessionKind>;
  readonly services: readonly { readonly name: string; readonly tokenSha256: string }[];
  readonly alertThresholds: readonly number[];
  /** By name. */
  readonly meters: ReadonlyMap<string, MeterDefinition>;
  readonly mode: Mode;
}
