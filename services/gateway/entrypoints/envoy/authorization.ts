import type { IncomingHttpHeaders } from 'node:http';
import { status } from '@grpc/grpc-js';
import { percentEncoded } from '../../../../shared/domain/request/request-target.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { delayRequest } from '../../enforcer/slow-down.ts';
import { limitHeaders } from '../../responses/limit-headers.ts';
import type { ResponseHeaders } from '../../responses/limit-headers.ts';
import { problemOf, problemType } from '../../responses/problem.ts';
import { receivedRequest } from '../../enforcer/read-request.ts';
import { passes } from '../../enforcer/verdict.ts';
import type { Verdict } from '../../enforcer/verdict.ts';
import { identityHeaders, foldedName } from '../identity-headers.ts';
import type { CheckRequest, GrpcResponse, HttpRequest } from './messages.ts';

/**
 * `envoy.service.auth.v3.Authorization/Check`: verifies the client's credentials, decides about the request, and
 * returns the header fields for the upstream and for the client. Envoy is instructed to remove every field of the
 * client that names an identity, in each spelling that an upstream may read as the same name.
 */
export async function authorize(enforcer: Enforcer, { attributes }: CheckRequest): Promise<GrpcResponse> {
  const startedAt = performance.now();
  const http = attributes?.request?.http ?? null;
  if (http === null) return { code: status.INVALID_ARGUMENT, details: 'The call describes no HTTP request' };
  const headers = headersOf(http);
  const caller = await enforcer.identify(headers, attributes?.source?.address?.socket_address?.address ?? '');
  const verdict = await enforcer.decide({
    caller,
    headers,
    ...receivedRequest(http.method, percentEncoded(http.path), headers, enforcer.policy().requests),
    cost: null,
    peek: false,
    hold: false,
    plan: null,
  });
  await delayRequest(enforcer, verdict);
  const code = passes(verdict) ? 200 : problemOf(verdict).status;
  await enforcer.meter(verdict, {
    status: code,
    latencyMs: performance.now() - startedAt,
    entrypoint: 'ext_authz',
  });
  return { message: passes(verdict) ? allowedResponse(verdict, headers) : deniedResponse(verdict) };
}

/** Joins fields of the same name, as HTTP defines. */
function headersOf({ headers, header_map }: HttpRequest): IncomingHttpHeaders {
  if (header_map === null) return headers;
  const joined: Record<string, string> = {};
  for (const { key, value, raw_value } of header_map.headers) {
    const name = key.toLowerCase();
    const text = value === '' ? raw_value.toString('latin1') : value;
    joined[name] = joined[name] === undefined ? text : `${joined[name]}, ${text}`;
  }
  return joined;
}

function allowedResponse(verdict: Verdict, received: IncomingHttpHeaders): object {
  const identityFields = identityHeaders(verdict);
  const overwritten = new Set(Object.keys(identityFields));
  return {
    status: { code: status.OK },
    ok_response: {
      headers: overwriting(identityFields),
      headers_to_remove: Object.keys(received).filter((name) => isIdentity(name) && !overwritten.has(name)),
      response_headers_to_add: overwriting(limitHeaders(verdict)),
    },
  };
}

function isIdentity(name: string): boolean {
  const folded = foldedName(name);
  return folded.startsWith('x-tollgate-') || folded === 'x-service-token';
}

function deniedResponse(verdict: Verdict): object {
  const problem = problemOf(verdict);
  const challenge: ResponseHeaders = problem.status === 401 ? { 'www-authenticate': 'Bearer' } : {};
  const headers = { ...limitHeaders(verdict), ...challenge, 'content-type': problemType };
  return {
    status: { code: rpcCodes.get(problem.status) ?? status.PERMISSION_DENIED, message: problem.title },
    denied_response: {
      status: { code: problem.status },
      headers: overwriting(headers),
      body: JSON.stringify(problem),
    },
  };
}

const rpcCodes: ReadonlyMap<number, status> = new Map([
  [401, status.UNAUTHENTICATED],
  [429, status.RESOURCE_EXHAUSTED],
  [503, status.UNAVAILABLE],
]);

/** Depending on its version, Envoy reads either `append` or `append_action`, so both are set. */
function overwriting(headers: Readonly<Record<string, string>>): object[] {
  return Object.entries(headers).map(([key, value]) => ({
    header: { key, value },
    append: { value: false },
    append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
    keep_empty_value: true,
  }));
}
