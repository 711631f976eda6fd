import type { CorsPolicy } from './request/cors.ts';
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

/** Limits of what a tenant does on the api listener by itself; each list holds one limit. */
export interface ApiLimits {
  /** Calls that are no decision: reading usage, querying meters, sessions, publishing. */
  readonly requests: readonly Limit[];
  readonly events: readonly Limit[];
  readonly eventBytes: readonly Limit[];
}

export interface Route {
  /** As written: `METHOD /path`, `*` for one segment, `**` for the rest; also the event's `route`. */
  readonly match: string;
  readonly limits: readonly Limit[];
  /** The same limits with the values of each plan; set where a limit of the route varies by plan. */
  readonly limitsByPlan?: ReadonlyMap<string, readonly Limit[]>;
  /** Units a call takes, unless the caller says otherwise. */
  readonly cost: number;
  /** Units that each message of a WebSocket's client takes; null: messages are free. */
  readonly messageCost: number | null;
  /** Money per unit, for cost reports. */
  readonly price: number;
  /** The same for exact arithmetic. */
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
  /** `staleMsMax`: how long the last fetched keys are used while none can be fetched. */
  | { readonly kind: 'jwks'; readonly url: string; readonly staleMsMax: number };

export interface JwtPolicy {
  readonly keys: JwtKeys;
  readonly algorithms: readonly string[];
  readonly issuer: string | null;
  readonly audience: string | null;
  /** Claims tried in order: the first that is there decides. */
  readonly tenantClaims: readonly string[];
  readonly userClaim: string;
  readonly planClaim: string;
  /** How far the clocks of issuer and gateway may be apart: `exp` and `nbf` are read that much more generously. */
  readonly leewayMs: number;
  /** Whether a token without `exp` is refused. */
  readonly expiry: 'required' | 'optional';
}

export interface IdentityPolicy {
  readonly jwt: JwtPolicy | null;
  readonly anonymous: 'ip' | 'reject';
  /** CIDR blocks whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
  /** How many bad credentials an address may present, as a list of this one limit. */
  readonly refused: readonly [Limit];
  /** How many requests that cannot be served an address may send: the same numbers, counted apart. */
  readonly invalid: readonly [Limit];
}

/** The policy file, compiled: defaults filled in, durations in milliseconds, secrets read. Immutable; a reload makes a new one. */
export interface Policy {
  /** SHA-256 of the file, first 12 hex digits: says which policy decided. */
  readonly revision: string;
  readonly links: { readonly documentation: string; readonly upgrade: string };
  readonly upstream: string | null;
  readonly requests: RequestReading;
  readonly identity: IdentityPolicy;
  readonly defaultPlan: string;
  readonly plans: ReadonlyMap<string, Plan>;
  readonly routes: readonly Route[];
  readonly platform: readonly Limit[];
  /** What one tenant and one address may hold of each concurrent limit of the platform. */
  readonly shares: readonly Limit[];
  /** Null where the upstream answers preflights, and pages cannot read what Tollgate answers. */
  readonly cors: CorsPolicy | null;
  /** What one address may send of preflights, which are charged to nothing else. */
  readonly preflight: Limit;
  readonly sessions: ReadonlyMap<string, SessionKind>;
  readonly services: readonly { readonly name: string; readonly tokenSha256: string }[];
  readonly alertThresholds: readonly number[];
  /** By name. */
  readonly meters: ReadonlyMap<string, MeterDefinition>;
  readonly mode: Mode;
}
