import type { IncomingHttpHeaders } from 'node:http';
import type { Identity } from '../../../shared/domain/identity.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { apiKeyPrefix } from '../../../shared/identity/api-keys.ts';
import type { KeyDirectory } from '../../../shared/identity/api-keys.ts';
import type { Claims } from '../../../shared/identity/claims.ts';
import type { Credentials } from '../../../shared/identity/credentials.ts';
import type { CredentialReading } from '../../../shared/identity/reading.ts';
import { badCredential } from '../../../shared/identity/refusal.ts';
import type { CredentialRefusal } from '../../../shared/identity/refusal.ts';
import { createClientAddresses } from '../../../shared/identity/client-address.ts';

/** The tenants' records as this node knows them: no lookup leaves the process. */
export interface TenantRecords extends KeyDirectory {
  get(tenantId: string): TenantRecord | null | undefined;
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
  /** Whether a peer is a trusted proxy. */
  trusts(remoteAddress: string): boolean;
}

/** Compiled once per policy: a reload makes a new one, and what was verified under the old one is forgotten. */
export function createIdentifier(policy: Policy, credentials: Credentials): Identifier {
  const { addressFor, trusts } = createClientAddresses(policy.identity.trustedProxies);
  const reader = credentials.under(policy);
  const addressOf: Identifier['addressOf'] = (headers, remote) =>
    addressFor(remote, headers['x-forwarded-for']);
  return { identify, addressOf, trusts };

  function identify(headers: IncomingHttpHeaders, remote: string): Identified | Promise<Identified> {
    const ip = addressOf(headers, remote);
    const serviceToken = single(headers['x-service-token']);
    if (serviceToken === undefined) return identifyCaller(headers, ip);
    const service = reader.findService(serviceToken);
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
      if (bearer !== undefined) return identifyCredential(bearer, ip);
      if (/^bearer\b/i.test(authorization)) return refused(ip, 'The Authorization header holds no token.');
    }
    const apiKey = single(headers['x-api-key']);
    if (apiKey?.startsWith(apiKeyPrefix) === true) return identifyCredential(apiKey, ip);
    return policy.identity.anonymous === 'reject'
      ? refused(ip, 'Credentials are needed: a bearer token or an API key.')
      : { identity: anonymous(ip), refusal: null };
  }

  function identifyCredential(credential: string, ip: string): Identified | Promise<Identified> {
    const reading = reader.read(credential, ip);
    return reading instanceof Promise ? reading.then((read) => holder(read, ip)) : holder(reading, ip);
  }
}

function holder(reading: CredentialReading, ip: string): Identified {
  switch (reading.kind) {
    case 'caller':
      return { identity: known(reading.claims, ip, reading.method), refusal: null };
    case 'service':
      return serving(anonymous(ip), reading.name);
    case 'refused':
      return { identity: anonymous(ip), refusal: reading.refusal };
  }
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
  return { identity: anonymous(ip), refusal: badCredential(detail) };
}

/** A header sent twice is no credential: which of the two counts would be a guess. */
function single(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined;
}
