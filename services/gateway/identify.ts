import { hash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { LRUCache } from 'lru-cache';
import type { Identity } from '../../shared/domain/identity.ts';
import type { Policy } from '../../shared/domain/policy.ts';
import type { TenantRecord } from '../../shared/domain/tenant.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { createClientAddress } from './client-address.ts';
import { createTokens } from './tokens.ts';
import type { Claims, CredentialRefusal, TokenReading } from './tokens.ts';

/** The tenants' records as this node knows them: no lookup leaves the process. */
export interface TenantRecords {
  get(tenantId: string): TenantRecord | null | undefined;
  byApiKeyHash(sha256Hex: string): TenantRecord | null | undefined;
  /** False while records may still be missing. */
  ready(): boolean;
}

/** Who is calling. With a `refusal` the credentials were bad: `identity` then is the bare address. */
export interface Identified {
  readonly identity: Identity;
  readonly refusal: CredentialRefusal | null;
}

export interface Identifier {
  /** Answers at once unless a token has to be verified anew. */
  identify(headers: IncomingHttpHeaders, remoteAddress: string): Identified | Promise<Identified>;
  addressOf(headers: IncomingHttpHeaders, remoteAddress: string): string;
}

const apiKeyPrefix = 'tgk_';
const credentialLengthMax = 8_192;
/** Digests of known API keys that are kept, each of a key of at most so many characters: a few megabytes. */
const digestsMax = 20_000;
const digestKeyLengthMax = 128;

/** Compiled once per policy: a reload makes a new one, and what was verified under the old one is forgotten. */
export function createIdentifier(policy: Policy, records: TenantRecords, clock: Clock): Identifier {
  const addressFor = createClientAddress(policy.identity.trustedProxies);
  const tokens = policy.identity.jwt === null ? null : createTokens(policy.identity.jwt, clock);
  const services = policy.services.map(({ name, tokenSha256 }) => ({
    name,
    digest: Buffer.from(tokenSha256, 'hex'),
  }));
  const digests = new LRUCache<string, string>({ max: digestsMax });
  const addressOf: Identifier['addressOf'] = (headers, remote) =>
    addressFor(remote, headers['x-forwarded-for']);
  return { identify, addressOf };

  function identify(headers: IncomingHttpHeaders, remote: string): Identified | Promise<Identified> {
    const ip = addressOf(headers, remote);
    const serviceToken = single(headers['x-service-token']);
    if (serviceToken === undefined) return identifyCaller(headers, ip);
    const service = serviceOf(serviceToken);
    if (service === null) return refused(ip, 'The service token is not known.');
    // A service may act for a tenant: the tenant's own credential then says whose usage this is.
    const caller = identifyCaller(headers, ip);
    return caller instanceof Promise
      ? caller.then(({ identity }) => serving(identity, service))
      : serving(caller.identity, service);
  }

  function identifyCaller(headers: IncomingHttpHeaders, ip: string): Identified | Promise<Identified> {
    const { authorization } = headers;
    if (authorization !== undefined) {
      const bearer = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
      // Other schemes are the upstream's business.
      if (bearer !== undefined) return identifyBearer(bearer, ip);
      if (/^bearer\b/i.test(authorization)) return refused(ip, 'The Authorization header holds no token.');
    }
    const apiKey = single(headers['x-api-key']);
    if (apiKey?.startsWith(apiKeyPrefix) === true) return identifyApiKey(apiKey, ip);
    return policy.identity.anonymous === 'reject'
      ? refused(ip, 'Credentials are needed: a bearer token or an API key.')
      : { identity: anonymous(ip), refusal: null };
  }

  function identifyBearer(token: string, ip: string): Identified | Promise<Identified> {
    if (token.length > credentialLengthMax)
      return refused(ip, `The token is longer than ${credentialLengthMax} characters.`);
    if (token.startsWith(apiKeyPrefix)) return identifyApiKey(token, ip);
    const claims = tokens === null ? null : tokens.known(token);
    if (claims !== null) return { identity: known(claims, ip, 'jwt'), refusal: null };
    const service = serviceOf(token);
    if (service !== null) return serving(anonymous(ip), service);
    if (tokens === null) return refused(ip, 'Tokens are not accepted here; use an API key.');
    return tokens.read(token).then((reading) => holder(reading, ip));
  }

  function identifyApiKey(key: string, ip: string): Identified {
    const record = key.length > credentialLengthMax ? null : holderOf(key);
    if (record === null || record === undefined) {
      if (records.ready()) return refused(ip, 'The API key is not known.');
      const detail = 'The API key cannot be looked up yet; try again in a moment.';
      return { identity: anonymous(ip), refusal: { status: 503, detail } };
    }
    const claims = { tenantId: record.tenant_id, userId: null, plan: null };
    return { identity: known(claims, ip, 'api_key'), refusal: null };
  }

  /** A returning key costs no digest. What it opens is looked up each time, so that a revoked key is unknown at once. */
  function holderOf(key: string): TenantRecord | null | undefined {
    const seen = digests.get(key);
    if (seen !== undefined) return records.byApiKeyHash(seen);
    const digest = hash('sha256', key);
    const record = records.byApiKeyHash(digest);
    // Only what is known is kept: a flood of guesses drives nobody out.
    if (record !== null && record !== undefined && key.length <= digestKeyLengthMax) digests.set(key, digest);
    return record;
  }

  /** Compares digests in constant time, every one of them: neither a match nor its place shows in the time taken. */
  function serviceOf(token: string): string | null {
    if (services.length === 0 || token === '' || token.length > credentialLengthMax) return null;
    const digest = hash('sha256', token, 'buffer');
    let found: string | null = null;
    for (const service of services) {
      if (timingSafeEqual(service.digest, digest)) found = service.name;
    }
    return found;
  }
}

function holder(reading: TokenReading, ip: string): Identified {
  if ('refusal' in reading) return { identity: anonymous(ip), refusal: reading.refusal };
  return { identity: known(reading.claims, ip, 'jwt'), refusal: null };
}

function known({ tenantId, userId, plan }: Claims, ip: string, method: 'jwt' | 'api_key'): Identity {
  return { tenantId, userId, planClaim: plan, ip, service: null, method };
}

function serving(identity: Identity, service: string): Identified {
  return { identity: { ...identity, service, method: 'service' }, refusal: null };
}

export function anonymous(ip: string): Identity {
  return { tenantId: null, userId: null, planClaim: null, ip, service: null, method: 'anonymous' };
}

function refused(ip: string, detail: string): Identified {
  return { identity: anonymous(ip), refusal: { status: 401, detail } };
}

/** A header sent twice is no credential: which of the two counts would be a guess. */
function single(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined;
}
