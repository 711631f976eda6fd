import { anonymousTenant } from './usage-event.ts';

/** Verified caller of a request. Anonymous callers have `tenantId` null and are limited by address. */
export interface Identity {
  readonly tenantId: string | null;
  readonly userId: string | null;
  /** Plan named by a verified token, or null. The tenant's record has precedence. */
  readonly planClaim: string | null;
  /** Address of the client behind trusted proxies. Limits group IPv6 addresses by /64. */
  readonly ip: string;
  /** Name of the internal service whose token was presented, or null. A service bypasses all limits. */
  readonly service: string | null;
  readonly method: 'jwt' | 'api_key' | 'service' | 'anonymous';
}

/** Longest tenant or user id, in UTF-16 units. A longer id is refused, never truncated. */
export const idLengthMax = 256;

/** Tenant of the events that the alerter publishes once a minute to measure the pipeline. It is not a customer. */
export const heartbeatTenant = 'tollgate-heartbeat';

/**
 * Why a text is not a valid id of a tenant or a user, as the end of a sentence; null for a valid id. All sources of ids
 * follow this rule: claims, request bodies, gRPC, events, the admin API. Ids are compared code unit by code unit, so each
 * id has one spelling only: without white space around it, and in Unicode normalization form C.
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

/** The same for a tenant; some ids are reserved. */
export function problemOfTenantId(id: string): string | null {
  if (id === anonymousTenant) return 'is reserved for callers without a tenant';
  if (id === heartbeatTenant) return 'is reserved for the heartbeat of the pipeline';
  // HTTP clients resolve dot segments before they send a path, so no URL could name this tenant to block or reset it.
  if (id === '.' || id === '..') return 'is a dot segment of a path';
  return problemOfId(id);
}

/** Fast path for nearly every id: printable ASCII without a space at either end. */
const printableAscii = /^[!-~](?:[ -~]*[!-~])?$/;
