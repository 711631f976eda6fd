import { createHash, randomBytes } from 'node:crypto';
import type { RefusalReason } from '../../domain/decision.ts';
import type { Limit } from '../../domain/limit.ts';
import { attributeNames } from '../../domain/limit.ts';
import { moneyOf, priceOf } from '../../domain/money.ts';
import type {
  IdentityPolicy,
  JwtKeys,
  JwtPolicy,
  Plan,
  Policy,
  Route,
  SessionKind,
} from '../../domain/policy.ts';
import { compileApiLimits } from './api-limits.ts';
import { claimsOf, compileAttributes } from './attributes.ts';
import { compileCharge } from './charge.ts';
import { compileCors, compilePreflightLimit } from './cors.ts';
import { durationMs } from '../../domain/time/duration.ts';
import { compileMeters } from './meters.ts';
import type { FieldPath, Violations } from './violations.ts';
import { compileRequests } from './requests.ts';
import { compileLimit } from './limits/limit-file.ts';
import type { LimitContext } from './limits/limit-file.ts';
import { compileExemptRoutes } from './routes/exempt.ts';
import type { PolicyFile } from './schema.ts';
import { compileShares } from './shares.ts';
import { compilePrices } from './usage/prices.ts';
import { compileQuantities } from './usage/quantities.ts';
import { compileReserve, compileUsage } from './usage/usage-file.ts';

/**
 * Where secrets are read from. `required`: a missing secret is a violation; false if only the file is checked.
 */
export interface Secrets {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly required: boolean;
}

/** Compiles a file that the schema accepts. Adds missing and weak secrets to `violations`. */
export function compilePolicy(
  text: string,
  file: PolicyFile,
  secrets: Secrets,
  violations: Violations,
): Policy {
  const mode = file.mode ?? 'enforce';
  const quantities = compileQuantities(file.quantities);
  const context: LimitContext = { mode, quantities };
  const plans = Object.entries(file.plans).map(([name, plan]): Plan => {
    const slowDown = plan.slow_down;
    return {
      name,
      limits: plan.limits.map((limit) => compileLimit(limit, null, context, null)),
      slowDown:
        slowDown === undefined
          ? null
          : { from: slowDown.from, maxDelayMs: durationMs(slowDown.max_delay) ?? 0 },
      charge: compileCharge(plan.charge),
      api: compileApiLimits(file.api, plan.api),
      price: plan.price === undefined ? null : moneyOf(plan.price),
    };
  });
  const routes = [
    ...(file.routes ?? []).map((route) => compileRoute(route, Object.keys(file.plans), context)),
    ...compileExemptRoutes(file.exempt),
  ];
  const platform = (file.platform?.limits ?? []).map((limit) => compileLimit(limit, null, context, null));
  const upstream = secrets.env['TOLLGATE_UPSTREAM'];
  return {
    revision: revisionOf(text),
    links: file.links,
    currency: file.currency ?? null,
    portal: { keys: file.portal?.keys ?? 'manage' },
    upstream: upstream === undefined || upstream === '' ? (file.upstream ?? null) : upstream,
    requests: compileRequests(file.requests),
    identity: compileIdentity(file, context, secrets, violations),
    defaultPlan: file.default_plan,
    plans: new Map(plans.map((plan) => [plan.name, plan])),
    routes,
    exemptAddresses: file.exempt?.addresses ?? [],
    platform,
    quantities,
    prices: compilePrices(file.prices),
    groups: new Map(
      Object.entries(file.groups ?? {}).map(([name, { limits }]) => [
        name,
        limits.map((limit) => compileLimit(limit, null, context, null)),
      ]),
    ),
    attributes: compileAttributes(file.attributes),
    countsAttributes: [...plans, ...routes].some(({ limits }) =>
      limits.some((limit) => attributeNames(limit).length > 0),
    ),
    shares: compileShares(platform, file.platform?.shares),
    cors: compileCors(file.cors),
    preflight: compilePreflightLimit(file.cors, mode),
    sessions: new Map(
      Object.entries(file.sessions ?? {}).map(([name, kind]) => [name, compileSession(name, kind)]),
    ),
    services: (file.services ?? []).map(({ name, token_sha256, token_env }, index) => ({
      name,
      tokenSha256:
        token_sha256 ??
        createHash('sha256')
          .update(
            secretOf(
              token_env ?? '',
              serviceTokenBytesMin,
              ['services', index, 'token_env'],
              secrets,
              violations,
            ),
          )
          .digest('hex'),
    })),
    alertThresholds: (file.alerts?.thresholds ?? [0.8, 1]).toSorted((a, b) => a - b),
    meters: compileMeters(file.meters),
    mode,
  };
}

type RouteFile = NonNullable<PolicyFile['routes']>[number];

function compileRoute(file: RouteFile, plans: readonly string[], context: LimitContext): Route {
  const limits = file.limits ?? [];
  const compiled = (plan: string | null): Limit[] =>
    limits.map((limit) => compileLimit(limit, file.match, context, plan));
  const varies = limits.some(({ by_plan }) => by_plan !== undefined);
  return {
    match: file.match,
    exempt: false,
    limits: compiled(null),
    ...(varies ? { limitsByPlan: new Map(plans.map((plan) => [plan, compiled(plan)])) } : {}),
    cost: file.cost ?? 1,
    messageCost: file.websocket?.message_cost ?? null,
    price: file.price ?? 0,
    unitPrice: priceOf(file.price ?? 0),
    usage: compileUsage(file),
    reserve: compileReserve(file),
    charge: compileCharge(file.charge),
  };
}

type SessionFile = NonNullable<PolicyFile['sessions']>[string];

function compileSession(name: string, file: SessionFile): SessionKind {
  return {
    name,
    per: Array.isArray(file.per) ? file.per : [file.per],
    limit: file.limit,
    ttlMs: durationMs(file.ttl) ?? 0,
  };
}

function compileIdentity(
  file: PolicyFile,
  context: LimitContext,
  secrets: Secrets,
  violations: Violations,
): IdentityPolicy {
  const { identity } = file;
  const { limit, window } = identity?.refused ?? refusedDefault;
  const perAddress = (name: RefusalReason): [Limit] => [
    compileLimit({ name, per: 'ip', limit, window }, null, context, null),
  ];
  return {
    jwt: identity?.jwt === undefined ? null : compileJwt(identity.jwt, file.attributes, secrets, violations),
    anonymous: identity?.anonymous ?? 'ip',
    trustedProxies: identity?.trusted_proxies ?? [],
    // Each of these limits counts requests refused for one reason, which is its name. These names are reserved.
    refused: perAddress('unauthenticated'),
    invalid: perAddress('invalid'),
  };
}

/** Default limit, for each address, of invalid credentials and of requests that cannot be served. */
const refusedDefault = { limit: 60, window: '1m' };
const leewayDefault = '30s';
const staleDefault = '1d';

type JwtFile = NonNullable<NonNullable<PolicyFile['identity']>['jwt']>;

function compileJwt(
  file: JwtFile,
  attributes: PolicyFile['attributes'],
  secrets: Secrets,
  violations: Violations,
): JwtPolicy {
  const tenant = file.tenant ?? 'tenant_id';
  return {
    keys: compileKeys(file, secrets, violations),
    algorithms: file.algorithms,
    issuer: file.issuer ?? null,
    audience: file.audience ?? null,
    attributeClaims: claimsOf(compileAttributes(attributes)),
    tenantClaims: Array.isArray(tenant) ? tenant : [tenant],
    userClaim: file.user ?? 'sub',
    planClaim: file.plan ?? 'plan',
    // Only `leeway` may be 0s, for which durationMs returns null.
    leewayMs: durationMs(file.leeway ?? leewayDefault) ?? 0,
    expiry: file.expiry ?? 'required',
  };
}

function compileKeys(file: JwtFile, secrets: Secrets, violations: Violations): JwtKeys {
  if (file.jwks_url !== undefined) {
    const staleMsMax = durationMs(file.jwks_max_stale ?? staleDefault) ?? 0;
    return { kind: 'jwks', url: file.jwks_url, staleMsMax };
  }
  const bytesMin = Math.max(...file.algorithms.map((algorithm) => hmacBytes[algorithm] ?? 0));
  const at = ['identity', 'jwt', 'secret_env'];
  return { kind: 'secret', secret: secretOf(file.secret_env ?? '', bytesMin, at, secrets, violations) };
}

/**
 * Shortest HMAC key in bytes: the length of the hash (RFC 7518, section 3.2). A shorter key could be found by brute
 * force.
 */
const hmacBytes: Readonly<Record<string, number>> = { HS256: 32, HS384: 48, HS512: 64 };
const serviceTokenBytesMin = 32;

/**
 * If an optional secret is missing, a random secret replaces it, because a credential could match an empty secret but
 * cannot match a random one.
 */
function secretOf(
  variable: string,
  bytesMin: number,
  at: FieldPath,
  { env, required }: Secrets,
  violations: Violations,
): Uint8Array {
  const secret = new TextEncoder().encode(env[variable] ?? '');
  if (secret.length === 0) {
    if (!required) return randomBytes(bytesMin);
    violations.add(
      at,
      `the environment variable ${variable} is not set; set it to a random secret of ${bytesMin} bytes or more`,
    );
  } else if (secret.length < bytesMin) {
    violations.add(
      at,
      `the secret in ${variable} has ${secret.length} bytes; use ${bytesMin} or more random ones (openssl rand -base64 48)`,
    );
  }
  return secret;
}

/** Revision of a policy file: the first 12 hex digits of the SHA-256 of its text. */
export function revisionOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
