import type { FastifyReply, FastifyRequest } from 'fastify';
import { problemOfTenantId } from '../../../../shared/domain/identity.ts';
import type { Identity } from '../../../../shared/domain/identity.ts';
import { badCredential } from '../../../../shared/identity/credential-reading.ts';
import { isPermitted } from '../../../../shared/domain/tenant.ts';
import type { KeyPermission } from '../../../../shared/domain/tenant.ts';
import type { CredentialRejection } from '../../../../shared/identity/credential-reading.ts';
import type { Guard } from '../../../../shared/runtime/http/access.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { retryAfterSeconds } from '../../responses/limit-headers.ts';
import type { ApiServer } from './api-server.ts';
import type { Identified } from '../../enforcer/identify.ts';
import { credentialProblem, plainProblem, scopeProblem, sendProblem } from '../../responses/problem.ts';
import type { Problem } from '../../responses/problem.ts';
import type { Verdict } from '../../enforcer/verdict.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Permission that an API key needs for the route. Absent: `usage` to read, `requests` for all other methods. */
    permission?: KeyPermission;
  }
  interface FastifyRequest {
    /** The caller of the API; set before a handler runs. */
    caller: Identified | null;
    /** The verdict that the limit headers of the response are written from; null if the handler made no decision. */
    verdict: Verdict | null;
  }
}

/** Route guard of the API: responds with a 401 to a caller without a verified credential. */
export function requireCredential(enforcer: Enforcer): Guard {
  return (request, reply) => {
    const { caller } = request;
    if (caller === null) throw new TypeError('A guard runs after the caller is identified.');
    if (caller.rejection !== null) return sendRejection(reply, caller.rejection, enforcer);
    return caller.identity.method === 'anonymous' ? refuseAnonymous(request, reply, enforcer) : undefined;
  };
}

/**
 * Responds with a 403 to a call that the scope of its API key does not include. Register it after the hooks that charge
 * calls, so that such calls are charged like all others.
 */
export function refuseOutOfScope(app: ApiServer, enforcer: Enforcer): void {
  app.addHook('onRequest', async (request, reply) => {
    const { caller, routeOptions } = request;
    const scope = caller?.identity.apiKey?.scope?.stated ?? null;
    if (scope === null || caller?.identity.service !== null || routeOptions.config.access !== 'credential')
      return undefined;
    if (isPermitted(scope, neededPermission(request))) return undefined;
    sendProblem(reply, scopeProblem(scope, enforcer.policy()));
    return reply;
  });
}

function neededPermission({ method, routeOptions: { config } }: FastifyRequest): KeyPermission {
  return config.permission ?? (method === 'GET' || method === 'HEAD' ? 'usage' : 'requests');
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

/** Returns the verified identity of the caller. Only for routes with the guard `requireCredential`. */
export function callerOf({ caller }: FastifyRequest): Identity {
  if (caller === null) throw new Error('a route for callers was reached without its guard');
  return caller.identity;
}

/**
 * Returns the tenant that a call is about: the caller's own tenant, or the tenant that a service names. Sends a problem
 * and returns null if a caller names a tenant other than its own (403), or if a service names no tenant (400).
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
 * Returns the problem of a caller that may not name this user, else null. A service may name any user. A tenant's own
 * credential (an API key, or a token without a user) may name the users of its tenant, whose counters are kept within
 * that tenant. A token with a user may name this user only. The same applies to a token without a tenant, because all
 * callers without a tenant share one set of user names.
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
