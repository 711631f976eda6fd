import type { FastifyReply, FastifyRequest } from 'fastify';
import { problemOfTenantId } from '../../../../shared/domain/identity.ts';
import type { Identity } from '../../../../shared/domain/identity.ts';
import { badCredential } from '../../../../shared/identity/credential-reading.ts';
import type { CredentialRejection } from '../../../../shared/identity/credential-reading.ts';
import type { Guard } from '../../../../shared/runtime/http/access.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { retryAfterSeconds } from '../../responses/headers.ts';
import type { Identified } from '../../enforcer/identify.ts';
import { credentialProblem, plainProblem, sendProblem } from '../../responses/problem.ts';
import type { Problem } from '../../responses/problem.ts';
import type { Verdict } from '../../enforcer/verdict.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The caller of the API; set before any handler runs. */
    caller: Identified | null;
    /** The verdict behind the response's limit headers; null where the handler decided nothing. */
    verdict: Verdict | null;
  }
}

/** Guard of the API: answers a caller without a verified credential with a 401. */
export function requireCredential(enforcer: Enforcer): Guard {
  return (request, reply) => {
    const { caller } = request;
    if (caller === null) throw new TypeError('A guard runs after the caller is identified.');
    if (caller.rejection !== null) return sendRejection(reply, caller.rejection, enforcer);
    return caller.identity.method === 'anonymous' ? refuseAnonymous(request, reply, enforcer) : undefined;
  };
}

async function refuseAnonymous(
  request: FastifyRequest,
  reply: FastifyReply,
  enforcer: Enforcer,
): Promise<FastifyReply> {
  const detail = 'Credentials are needed: a bearer token, an API key or a service token.';
  request.caller = await enforcer.rejectAnonymous(callerOf(request).ip, detail);
  return sendRejection(reply, request.caller.rejection ?? badCredential(detail), enforcer);
}

function sendRejection(
  reply: FastifyReply,
  rejection: CredentialRejection,
  enforcer: Enforcer,
): FastifyReply {
  const problem = credentialProblem(rejection, enforcer.policy());
  const seconds = rejection.status === 429 ? retryAfterSeconds(rejection.state.retryAfterMs) : null;
  if (seconds !== null) void reply.header('retry-after', String(seconds));
  sendProblem(reply, problem);
  return reply;
}

/** The verified identity of the caller; only for routes behind the guard. */
export function callerOf({ caller }: FastifyRequest): Identity {
  if (caller === null) throw new Error('a route for callers was reached without its guard');
  return caller.identity;
}

/**
 * The tenant of a call: the caller's own, or for a service the one that it names. Null where a problem was sent: 403
 * for another tenant, 400 for a service that names none.
 */
export function tenantOf(
  request: FastifyRequest,
  reply: FastifyReply,
  namedTenantId: string | undefined,
): string | null {
  const identity = callerOf(request);
  const tenantId = identity.service === null ? identity.tenantId : (namedTenantId ?? identity.tenantId);
  const problem = problemOfTenant(identity, tenantId, namedTenantId);
  if (problem === null) return tenantId;
  sendProblem(reply, problem);
  return null;
}

/**
 * The problem where the caller may not name this user, else null. A service names any. A tenant's own credential (an
 * API key, or a token without a user) names the users of its tenant, whose counters are kept within that tenant. A
 * token with a user names that user only; so does a token without a tenant, because its users are shared by all callers
 * without one.
 */
export function problemOfUser({ service, tenantId, userId }: Identity, namedUserId: string): Problem | null {
  if (service !== null || namedUserId === userId) return null;
  if (userId === null && tenantId !== null) return null;
  return plainProblem(403, 'This user is not yours: your token may name its own user only.');
}

function problemOfTenant(
  { service }: Identity,
  tenantId: string | null,
  namedTenantId: string | undefined,
): Problem | null {
  if (tenantId === null) {
    return service === null
      ? plainProblem(403, 'Your credentials name no tenant.')
      : plainProblem(400, 'A service must name a tenant: add tenant_id.');
  }
  if (namedTenantId !== undefined && namedTenantId !== tenantId)
    return plainProblem(403, 'This tenant is not yours.');
  const wrong = problemOfTenantId(tenantId);
  return wrong === null ? null : plainProblem(400, `tenant_id ${wrong}.`);
}
