import type { Attributes } from './limit.ts';
import type { Target } from './request/target.ts';
import type { KeyScope } from './tenant.ts';
import { anonymousTenant } from './usage-event.ts';

/** The verified caller of a request. An anonymous caller has the `tenantId` null and is limited by address. */
export interface Identity {
  readonly tenantId: string | null;
  readonly userId: string | null;
  /** The plan that a verified token names; null if it names none. A plan in the tenant's record has precedence. */
  readonly planClaim: string | null;
  /** Address of the client, behind the trusted proxies. Limits treat all IPv6 addresses of a /64 as one address. */
  readonly ip: string;
  /**
   * Name of the internal service that the request's token belongs to; null for other callers. No limit applies to a
   * service.
   */
  readonly service: string | null;
  readonly method: 'jwt' | 'api_key' | 'service' | 'anonymous';
  /** The API key of the request; absent if it has none. */
  readonly apiKey?: IdentityKey | undefined;
  /** Attributes of the credential: claims that the policy names, or the API key as `key` (its digest). */
  readonly attributes?: Attributes | undefined;
}

/** An API key, as decisions and events use it. */
export interface IdentityKey {
  /** See `apiKeyId`. */
  readonly id: string;
  /** Null: the key may do everything. */
  readonly scope: RequestScope | null;
}

/** The scope of a key in the form that decisions use. */
export interface RequestScope {
  readonly stated: KeyScope;
  /** Whether the key may send this request: in whichever way servers read its target, the scope must allow it. */
  allowsRequest(method: string, target: Target): boolean;
}

/** Longest tenant or user id, in UTF-16 code units. A longer id is rejected, never truncated. */
export const idLengthMax = 256;

/**
 * Tenant of the events that the alerter publishes every minute to measure the delay of the pipeline. It is not a
 * customer.
 */
export const heartbeatTenant = 'tollgate-heartbeat';

/** Tenant ids in events that belong to no customer. Lists of tenants do not contain them. */
export const internalTenants: readonly string[] = [anonymousTenant, heartbeatTenant];

/**
 * Returns why a text is not a valid id of a tenant or a user, worded as the end of a sentence; null if it is valid.
 * Every id is checked by this function, whether it comes from a token, a request body, gRPC, an event or the admin
 * API. Ids are compared by code units. Therefore an id must have exactly one spelling: no white space at either end,
 * and Unicode normalization form C.
 */
export function problemOfId(id: string): string | null {
  if (id === '') return 'is empty';
  if (id.length > idLengthMax) return `is longer than ${idLengthMax} characters`;
  if (printableAscii.test(id)) return null;
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(id)) return 'holds control characters';
  if (!id.isWellFormed()) return 'is not well-formed Unicode';
  if (id.trim() !== id) return 'begins or ends with white space';
  return id.normalize('NFC') === id ? null : 'is not in Unicode normalization form C (NFC)';
}

/** The same check for the id of a tenant. In addition, some ids are reserved. */
export function problemOfTenantId(id: string): string | null {
  if (id === anonymousTenant) return 'is reserved for callers without a tenant';
  if (id === heartbeatTenant) return 'is reserved for the heartbeat of the pipeline';
  // HTTP clients resolve dot segments before they send a path, so an operator could not address a tenant named `.` or
  // `..` in the admin API.
  if (id === '.' || id === '..') return 'is a dot segment of a path';
  return problemOfId(id);
}

/** Fast path for almost all ids: printable ASCII characters, without a space at either end. */
const printableAscii = /^[!-~](?:[ -~]*[!-~])?$/;
