import type { FastifyReply, FastifyRequest } from 'fastify';
import { problemOfTenantId } from '../../../../shared/domain/identity.ts';
import type { Identity } from '../../../../shared/domain/identity.ts';
import { badCredential } from '../../../../shared/identity/refusal.ts';
import type { CredentialRefusal } from '../../../../shared/identity/refusal.ts';
import type { Guard } from '../../../../shared/runtime/http/access.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { retryAfterSeconds } from '../../responses/headers.ts';
import type { Identified } from '../../enforcer/identify.ts';
import { credentialProblem, plainProblem, sendProblem } from '../../responses/problem.ts';
import type { Problem } from '../../responses/problem.ts';
import type { Verdict } from '../../enforcer/verdict.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls the API; set before any handler runs. */
    caller: Identified | null;
    /** What the answer's limit headers speak of, where the handler decided something. */
    verdict: Verdict | null;
  }
}

/** Guard of the API: sends the answer where the caller has no verified credential. */
export function requireCredential(enforcer: Enforcer): Guard {
  return (request, reply) => {
    const { caller } = request;
    if (caller === null) throw new TypeError('A guard runs after its caller is known.');
    if (caller.rejection !== null) return sendRefused(reply, caller.rejection, enforcer);
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
  return sendRefused(reply, request.caller.rejection ?? badCredential(detail), enforcer);
}

function sendRefused(reply: FastifyReply, refusal: CredentialRefusal, enforcer: Enforcer): FastifyReply {
  const problem = credentialProblem(refusal, enforcer.policy());
  const seconds = refusal.status === 429 ? retryAfterSeconds(refusal.state.retryAfterMs) : null;
  if (seconds !== null) void reply.header('retry-after', String(seconds));
  sendProblem(reply, problem);
  return reply;
}

/** The verified identity that the guard found. */
export function callerOf({ caller }: FastifyRequest): Identity {
  if (caller === null) throw new Error('a route for callers was reached without its guard');
  return caller.identity;
}

/**
 * The tenant a caller speaks for: its own, or for a service the one it names. Null where the answer is sent: 403 for
 * another tenant, 400 for a service that names none.
 */
export function tenantOf(
  request: FastifyRequest,
  reply: FastifyReply,
  asked: string | undefined,
): string | null {
  const identity = callerOf(request);
  const tenantId = identity.service === null ? identity.tenantId : (asked ?? identity.tenantId);
  const problem = problemOfTenant(identity, tenantId, asked);
  if (problem === null) return tenantId;
  sendProblem(reply, problem);
  return null;
}

/**
 * Why the caller may not name this user, or null. A service names any. A tenant's own credential (an API key, or a token
 * without a user) names the users of its tenant, whose counters are kept within that tenant. A token with a user names
 * that user only; so does a token without a tenant, because its users are shared by all callers without one.
 */
export function problemOfUser({ service, tenantId, userId }: Identity, asked: string): Problem | null {
  if (service !== null || asked === userId) return null;
  if (userId === null && tenantId !== null) return null;
  return plainProblem(403, 'This user is not yours: your token speaks for its own user only.');
}

function problemOfTenant(
  { service }: Identity,
  tenantId: string | null,
  asked: string | undefined,
): Problem | null {
  if (tenantId === null) {
    return service === null
      ? plainProblem(403, 'Your credentials name no tenant.')
      : plainProblem(400, 'A service must say which tenant it asks for: add tenant_id.');
  }
  if (asked !== undefined && asked !== tenantId) return plainProblem(403, 'This tenant is not yours.');
  const wrong = problemOfTenantId(tenantId);
  return wrong === null ? null : plainProblem(400, `tenant_id ${wrong}.`);
}
