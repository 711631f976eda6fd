import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyRequest } from 'fastify';
import type { RequestReading } from '../../../../shared/domain/request/request-reading.ts';
import { remoteAddress, verifiedChain } from '../../../../shared/identity/client-address.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { limitHeaderNames } from '../../responses/limit-headers.ts';
import type { Verdict } from '../../enforcer/verdict.ts';
import { writeIdentityHeaders } from '../identity-headers.ts';
import { createTreatments, hopByHop } from './request-fields.ts';
import { replaceCredential } from './upstream-credential.ts';
import type { UpstreamCredential } from './upstream-credential.ts';

export type ForwardedHeaders = Record<string, string | string[]>;

/**
 * Returns the header fields of a request that the upstream receives. Tollgate itself sets all fields that state the
 * client's identity, its address and the original request: it removes the client's fields of these names, and a field
 * for which it has no value is sent empty. A field that only a proxy may set is forwarded if a trusted proxy sent it.
 */
export function upstreamHeaders(
  enforcer: Enforcer,
  request: FastifyRequest,
  upstream: URL,
  verdict: Verdict,
  credential: UpstreamCredential | null,
): ForwardedHeaders {
  const headers: ForwardedHeaders = {};
  const { headers: received, socket } = request;
  const connectionFields = connectionNames(received);
  const { identity, policy, decision } = verdict;
  const treatmentOf = treatments[policy.requests.underscoreHeaders];
  // The token of a service that acts for no tenant is a credential for Tollgate and is not forwarded to the
  // upstream.
  const isServiceToken = identity.service !== null && identity.tenantId === null;
  for (const name in received) {
    const treatment = treatmentOf(name);
    if (treatment === 'drop' || (connectionFields !== none && connectionFields.has(name))) continue;
    if (treatment === 'trusted' && !enforcer.trusts(socket.remoteAddress ?? '')) continue;
    if (!isServiceToken || name !== 'authorization') headers[name] = received[name] ?? '';
  }
  if (credential !== null) replaceCredential(headers, credential);
  headers['host'] = upstream.host;
  describeClient(enforcer, headers, request, verdict);
  headers['x-request-id'] ??= decision.id;
  headers['x-tollgate-decision'] = decision.id;
  writeIdentityHeaders(verdict, headers);
  verdict.trace?.writeHeaders(headers);
  return headers;
}

const treatments: Record<RequestReading['underscoreHeaders'], ReturnType<typeof createTreatments>> = {
  drop: createTreatments(false),
  pass: createTreatments(true),
};

/**
 * Writes the fields that describe the client. What a trusted proxy states is forwarded as far as it can be verified;
 * what the client itself states is replaced.
 */
function describeClient(
  enforcer: Enforcer,
  headers: ForwardedHeaders,
  { headers: received, socket, protocol }: FastifyRequest,
  { identity, target }: Verdict,
): void {
  const peer = socket.remoteAddress ?? '';
  const remote = remoteAddress(peer);
  const chain = received['x-forwarded-for'];
  const host = received['x-forwarded-host'];
  const proto = received['x-forwarded-proto'];
  const isDescribed = chain !== undefined || host !== undefined || proto !== undefined;
  const trusted = isDescribed && enforcer.trusts(peer);
  const verified = trusted && chain !== undefined ? verifiedChain(String(chain), identity.ip) : '';
  headers['x-forwarded-for'] = verified === '' ? remote : `${verified}, ${remote}`;
  headers['x-forwarded-host'] = (trusted ? host : undefined) ?? target?.authority ?? received.host ?? '';
  headers['x-forwarded-proto'] = (trusted ? proto : undefined) ?? protocol;
  headers['x-real-ip'] = identity.ip;
}

/**
 * Returns the fields of the upstream's response that the client receives. The upstream's limit headers are removed,
 * because Tollgate sets its own.
 */
export function clientHeaders(received: IncomingHttpHeaders): ForwardedHeaders {
  const headers: ForwardedHeaders = {};
  const connectionFields = connectionNames(received);
  for (const name in received) {
    const value = received[name];
    if (
      value !== undefined &&
      !hopByHop.has(name) &&
      !connectionFields.has(name) &&
      !limitHeaderNames.has(name)
    )
      headers[name] = value;
  }
  return headers;
}

const none: ReadonlySet<string> = new Set();

function connectionNames({ connection }: IncomingHttpHeaders): ReadonlySet<string> {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return none;
  return new Set(connection.toLowerCase().split(/[ ,]+/));
}
