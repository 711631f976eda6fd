import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyRequest } from 'fastify';
import type { RequestReading } from '../../../../shared/domain/request/request-reading.ts';
import { remoteAddress, verifiedChain } from '../../../../shared/identity/client-address.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { limitHeaderNames } from '../../responses/headers.ts';
import type { Verdict } from '../../enforcer/verdict.ts';
import { writeIdentityHeaders } from '../identity-headers.ts';
import { createTreatments, hopByHop } from './request-fields.ts';

export type ForwardedHeaders = Record<string, string | string[]>;

/**
 * The fields of a request as the upstream gets them. Who the caller is, where it is and how it asked comes from
 * Tollgate alone, whole families at a time, empty where there is nothing to say: what a client writes there is gone.
 * What only a proxy can know is passed on from a trusted one.
 */
export function upstreamHeaders(
  enforcer: Enforcer,
  request: FastifyRequest,
  upstream: URL,
  verdict: Verdict,
): ForwardedHeaders {
  const headers: ForwardedHeaders = {};
  const { headers: given, socket } = request;
  const named = connectionNames(given);
  const { identity, policy, decision } = verdict;
  const treatmentOf = treatments[policy.requests.underscoreHeaders];
  // The token of a service that acts for no tenant opens Tollgate, nothing behind it.
  const tokenOfService = identity.service !== null && identity.tenantId === null;
  for (const name in given) {
    const treatment = treatmentOf(name);
    if (treatment === 'drop' || (named !== none && named.has(name))) continue;
    if (treatment === 'trusted' && !enforcer.trusts(socket.remoteAddress ?? '')) continue;
    if (!tokenOfService || name !== 'authorization') headers[name] = given[name] ?? '';
  }
  headers['host'] = upstream.host;
  describeClient(enforcer, headers, request, verdict);
  headers['x-request-id'] ??= decision.id;
  headers['x-tollgate-decision'] = decision.id;
  writeIdentityHeaders(verdict, headers);
  return headers;
}

const treatments: Record<RequestReading['underscoreHeaders'], ReturnType<typeof createTreatments>> = {
  drop: createTreatments(false),
  pass: createTreatments(true),
};

/** What a trusted proxy said of the client is passed on as far as it is verified; what the client said of itself is not. */
function describeClient(
  enforcer: Enforcer,
  headers: ForwardedHeaders,
  { headers: given, socket, protocol }: FastifyRequest,
  { identity, target }: Verdict,
): void {
  const peer = socket.remoteAddress ?? '';
  const remote = remoteAddress(peer);
  const chain = given['x-forwarded-for'];
  const host = given['x-forwarded-host'];
  const proto = given['x-forwarded-proto'];
  const said = chain !== undefined || host !== undefined || proto !== undefined;
  const trusted = said && enforcer.trusts(peer);
  const verified = trusted && chain !== undefined ? verifiedChain(String(chain), identity.ip) : '';
  headers['x-forwarded-for'] = verified === '' ? remote : `${verified}, ${remote}`;
  headers['x-forwarded-host'] = (trusted ? host : undefined) ?? target?.authority ?? given.host ?? '';
  headers['x-forwarded-proto'] = (trusted ? proto : undefined) ?? protocol;
  headers['x-real-ip'] = identity.ip;
}

/** The fields of the upstream's answer as the client gets them; the limit headers are Tollgate's. */
export function clientHeaders(given: IncomingHttpHeaders): ForwardedHeaders {
  const headers: ForwardedHeaders = {};
  const named = connectionNames(given);
  for (const name in given) {
    const value = given[name];
    if (value !== undefined && !hopByHop.has(name) && !named.has(name) && !limitHeaderNames.has(name))
      headers[name] = value;
  }
  return headers;
}

const none: ReadonlySet<string> = new Set();

function connectionNames({ connection }: IncomingHttpHeaders): ReadonlySet<string> {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return none;
  return new Set(connection.toLowerCase().split(/[ ,]+/));
}
