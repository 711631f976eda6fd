import type { ResponseHeaders } from '../responses/limit-headers.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/**
 * Returns the header fields that name the caller to the upstream, for proxies that copy them from this response into
 * the request. A part that the identity does not have is an empty field. The proxy thus overwrites all of these fields,
 * and the client's own values do not reach the upstream.
 */
export function identityHeaders(verdict: Verdict): ResponseHeaders {
  const headers: ResponseHeaders = {};
  writeIdentityHeaders(verdict, headers);
  return headers;
}

/** Writes the fields of `identityHeaders` into existing headers. */
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

/** Returns a field name in the form that CGI and WSGI servers compare, in which `_` and `-` are equal. */
export function foldedName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}
