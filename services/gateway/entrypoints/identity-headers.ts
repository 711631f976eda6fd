import type { ResponseHeaders } from '../responses/headers.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/**
 * Header fields that name the caller to the upstream, for proxies that copy them from an answer to the request. All of
 * them, empty where there is nothing to say, so that none can be left over from the client.
 */
export function identityHeaders(verdict: Verdict): ResponseHeaders {
  const headers: ResponseHeaders = {};
  writeIdentityHeaders(verdict, headers);
  return headers;
}

/** The same, into headers that are at hand. */
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

/** The name as CGI and WSGI read it: they cannot tell `_` from `-`. */
export function foldedName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}
