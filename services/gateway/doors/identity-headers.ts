import type { ResponseHeaders } from '../headers.ts';
import type { Verdict } from '../verdict.ts';

/**
 * Header fields that name the caller to the upstream, for proxies that copy them from an answer to the request. All of
 * them, empty where there is nothing to say, so that none can be left over from the client.
 */
export function identityHeaders({ identity, plan }: Verdict): ResponseHeaders {
  return {
    'x-tollgate-plan': plan.name,
    'x-tollgate-tenant': encodeURIComponent(identity.tenantId ?? ''),
    'x-tollgate-user': encodeURIComponent(identity.userId ?? ''),
    'x-tollgate-service': identity.service ?? '',
  };
}

/** The name as CGI and WSGI read it: they cannot tell `_` from `-`. */
export function foldedName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}
