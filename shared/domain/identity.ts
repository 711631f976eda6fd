import { anonymousTenant } from './usage-event.ts';

/** Who is calling, as verified. Anonymous callers have `tenantId` null and are limited by address. */
export interface Identity {
  readonly tenantId: string | null;
  readonly userId: string | null;
  /** Plan claimed by a verified token; the tenant's record has precedence. Null when the token names none. */
  readonly planClaim: string | null;
  /** Client address after trusted proxies; IPv6 as given (limits group it by /64). */
  readonly ip: string;
  /** Name of the internal service whose token was presented, or null. A service bypasses all limits. */
  readonly service: string | null;
  readonly method: 'jwt' | 'api_key' | 'service' | 'anonymous';
}

/** Longest tenant or user id accepted, in UTF-16 units. Longer ones are refused, never cut. */
export const idLengthMax = 256;

/** Tenant of the alerter's own event a minute: it is no customer. */
export const heartbeatTenant = 'tollgate-heartbeat';

/**
 * Why a text cannot be the id of a tenant or a user, as the end of a sentence; null where it can. The one rule for ids
 * from every source: claims, request bodies, gRPC, events, the admin API. Ids are compared unit by unit, so a text has
 * one spelling only: without white space around it, and in Unicode normalization form C.
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

/** The same for a tenant, some of whose ids are reserved. */
export function problemOfTenantId(id: string): string | null {
  if (id === anonymousTenant) return 'is reserved for callers without a tenant';
  if (id === heartbeatTenant) return 'is reserved for the heartbeat of the pipeline';
  // Every client resolves them before it sends a path: no address could name such a tenant, to block it or to reset it.
  if (id === '.' || id === '..') return 'is a dot segment of a path';
  return problemOfId(id);
}

/** Nearly every id: printable ASCII without a space at either end. */
const printableAscii = /^[!-~](?:[ -~]*[!-~])?$/;
