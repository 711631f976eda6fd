import type { ResponseHeaders } from '../responses/headers.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/**
 * Header fields that name the caller to the upstream, for proxies that copy them from a response to the request. All
 * fields are set, with an empty value for a part that the identity does not have, so that no field of the client
 * reaches the upstream.
 */
export function identityHeaders(verdict: Verdict): ResponseHeaders {
  const headers: ResponseHeaders = {};
  writeIdentityHeaders(verdict, headers);
  return headers;
}

/** The same, into existing headers. */
export function writeIdentityHeaders(
  { identity, plan }: Verdict,
  headers: Record<string, string | string[]>,
): void {
  const { tenantId, userId, service } = identity;
  headers['x-tollgate-plan'] = plan.name;
  headers['x-tollgate-tenant'] = tenantId === null ? '' : encodeURIComponent(tenantId);
  headers['x-tollgate-user'] = userId === null ? '' : encodeURIComponent(userId);
  headers['x-tollgate-service'] = service ?? '';
}

/** The name as CGI and WSGI read it: for them `_` and `-` are the same. */
export function foldedName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}
