import type { IncomingHttpHeaders } from 'node:http';
import type { Identity } from '../../../shared/domain/identity.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { apiKeyPrefix } from '../../../shared/identity/api-keys.ts';
import type { KeyDirectory } from '../../../shared/identity/api-keys.ts';
import type { CredentialReader, Credentials } from '../../../shared/identity/credentials.ts';
import type {
  CallerReading,
  CredentialReading,
  CredentialRejection,
} from '../../../shared/identity/credential-reading.ts';
import { badCredential } from '../../../shared/identity/credential-reading.ts';
import { createClientAddresses } from '../../../shared/identity/client-address.ts';
import type { ClientAddresses } from '../../../shared/identity/client-address.ts';

/** The tenants' records in the memory of this node. A lookup calls no other process. */
export interface TenantRecords extends KeyDirectory {
  get(tenantId: string): TenantRecord | null | undefined;
}

/**
 * The caller of a request. If `rejection` is set, its credentials were not accepted, and `identity` has only its
 * address.
 */
export interface Identified {
  readonly identity: Identity;
  readonly rejection: CredentialRejection | null;
}

/**
 * Identifies callers under one policy. A reload of the policy creates another identifier, which verifies every token
 * again.
 */
export class Identifier {
  readonly policy: Policy;
  readonly #addresses: ClientAddresses;
  readonly #reader: CredentialReader;

  constructor(policy: Policy, credentials: Credentials) {
    this.policy = policy;
    this.#addresses = createClientAddresses(policy.identity.trustedProxies);
    this.#reader = credentials.under(policy);
  }

  addressOf(headers: IncomingHttpHeaders, remoteAddress: string): string {
    return this.#addresses.addressFor(remoteAddress, headers['x-forwarded-for']);
  }

  /** Returns true if a connection with this remote address comes from a trusted proxy. */
  trusts(remoteAddress: string): boolean {
    return this.#addresses.trusts(remoteAddress);
  }

  /** Returns a promise only if the signature of a token has to be verified. */
  identify(headers: IncomingHttpHeaders, remoteAddress: string): Identified | Promise<Identified> {
    const ip = this.addressOf(headers, remoteAddress);
    const serviceToken = singleValue(headers['x-service-token']);
    if (serviceToken === undefined) return this.#identifyCaller(headers, ip);
    const service = this.#reader.findService(serviceToken);
    if (service === null) return rejected(ip, 'The service token is unknown.');
    // A service may act for a tenant by sending the tenant's own credential as well: the usage event then
    // names this tenant.
    const caller = this.#identifyCaller(headers, ip);
    return caller instanceof Promise
      ? caller.then(({ identity }) => identifiedService(identity, service))
      : identifiedService(caller.identity, service);
  }

  #identifyCaller(headers: IncomingHttpHeaders, ip: string): Identified | Promise<Identified> {
    const { authorization } = headers;
    if (authorization !== undefined) {
      const bearer = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
      // Only Bearer credentials are for Tollgate. Other schemes are ignored and forwarded to the upstream.
      if (bearer !== undefined) return this.#identifyCredential(bearer, ip);
      if (/^bearer\b/i.test(authorization)) return rejected(ip, 'The Authorization header has no token.');
    }
    const apiKey = singleValue(headers['x-api-key']);
    if (apiKey?.startsWith(apiKeyPrefix) === true) return this.#identifyCredential(apiKey, ip);
    return this.policy.identity.anonymous === 'reject'
      ? rejected(ip, 'Credentials are needed: a bearer token or an API key.')
      : { identity: anonymous(ip), rejection: null };
  }

  #identifyCredential(credential: string, ip: string): Identified | Promise<Identified> {
    const reading = this.#reader.read(credential, ip);
    return reading instanceof Promise
      ? reading.then((read) => identifiedHolder(read, ip))
      : identifiedHolder(reading, ip);
  }
}

function identifiedHolder(reading: CredentialReading, ip: string): Identified {
  switch (reading.kind) {
    case 'caller':
      return { identity: identityOf(reading, ip), rejection: null };
    case 'service':
      return identifiedService(anonymous(ip), reading.name);
    case 'refused':
      return { identity: anonymous(ip), rejection: reading.rejection };
  }
}

function identityOf({ claims, method, apiKey }: CallerReading, ip: string): Identity {
  const { tenantId, userId, plan, attributes } = claims;
  return { tenantId, userId, planClaim: plan, ip, service: null, method, apiKey, attributes };
}

function identifiedService(identity: Identity, service: string): Identified {
  return { identity: { ...identity, service, method: 'service' }, rejection: null };
}

export function anonymous(ip: string): Identity {
  return {
    tenantId: null,
    userId: null,
    planClaim: null,
    ip,
    service: null,
    method: 'anonymous',
    apiKey: undefined,
    attributes: undefined,
  };
}

function rejected(ip: string, detail: string): Identified {
  return { identity: anonymous(ip), rejection: badCredential(detail) };
}

/** Returns undefined for a header that was sent twice, because choosing one of the two values would be a guess. */
function singleValue(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined;
}
