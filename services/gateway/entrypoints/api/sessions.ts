import { randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { problemOfId } from '../../../../shared/domain/identity.ts';
import type { SessionKind } from '../../../../shared/domain/policy.ts';
import { nounFor } from '../../../../shared/domain/text/counted.ts';
import type { SessionAnswer } from '../../../../shared/redis/leases/sessions.ts';
import type { ApiOptions, ApiServer } from './api-server.ts';
import { problemOfUser, tenantOf } from './caller.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { plainProblem, sendProblem } from '../../responses/problem.ts';
import { noBody, sessionResponse } from './response-schemas.ts';

const options = {
  kind: Type.Optional(
    Type.String({ description: "Kind of session; absent: the policy's only or first one." }),
  ),
  tenant_id: Type.Optional(Type.String({ description: 'For services: tenant of the session.' })),
  user: Type.Optional(Type.String({ description: 'For kinds that count per user.' })),
};

const sessionId = Type.String({ pattern: '^[A-Za-z0-9_.~-]{1,128}$' });
const bodySchema = Type.Object(
  { session_id: Type.Optional(sessionId), ...options },
  { additionalProperties: false, examples: [{ session_id: 'tab-1', user: 'u1' }] },
);
const querySchema = Type.Object(options);
const paramsSchema = Type.Object({ id: sessionId });

type SessionOptions = Static<typeof querySchema>;

interface Holder {
  readonly kind: SessionKind;
  readonly caller: { readonly tenantId: string; readonly userId: string | null; readonly ip: string };
}

/**
 * Widget sessions: `POST /v1/sessions` opens a session (with the id of an open session, it renews that session), `PUT`
 * sends a heartbeat, and `DELETE` ends the session. A session without a heartbeat ends after the `ttl` of its kind.
 * Sessions have their own limits and consume no units of the limits of requests.
 */
export function registerSessions(app: ApiServer, { enforcer, sessions }: ApiOptions): void {
  app.post(
    '/v1/sessions',
    {
      schema: {
        operationId: 'openSession',
        tags: ['Sessions'],
        summary: 'Open a session',
        description: 'The same id again renews it. One too many is a 429 with Retry-After.',
        body: bodySchema,
        response: { 201: sessionResponse },
        responseHeaders: { 201: { Location: { description: 'The session.', schema: { type: 'string' } } } },
        problems: [403],
      },
    },
    async (request, reply) => {
      const holder = holderOf(enforcer, request, reply, request.body);
      if (holder === null) return reply;
      const id = request.body.session_id ?? randomUUID();
      const answer = await sessions.acquire(holder.kind, holder.caller, id);
      if (!answer.done) return sendLimitProblem(enforcer, reply, holder, answer);
      return reply
        .code(201)
        .header('location', `/v1/sessions/${id}`)
        .send(viewOf(holder.kind, id, answer));
    },
  );

  app.put(
    '/v1/sessions/:id',
    {
      schema: {
        operationId: 'renewSession',
        tags: ['Sessions'],
        summary: 'Heartbeat of a session',
        params: paramsSchema,
        querystring: querySchema,
        response: { 200: sessionResponse },
        problems: [403],
      },
    },
    async (request, reply) => {
      const holder = holderOf(enforcer, request, reply, request.query);
      if (holder === null) return reply;
      const { id } = request.params;
      const answer = await sessions.heartbeat(holder.kind, holder.caller, id);
      if (answer.done) return viewOf(holder.kind, id, answer);
      sendProblem(reply, plainProblem(404, 'The session has ended or never existed. Open a new one.'));
      return reply;
    },
  );

  app.delete(
    '/v1/sessions/:id',
    {
      schema: {
        operationId: 'endSession',
        tags: ['Sessions'],
        summary: 'End a session',
        params: paramsSchema,
        querystring: querySchema,
        response: { 204: noBody('The session has ended.') },
        problems: [403],
      },
    },
    async (request, reply) => {
      const holder = holderOf(enforcer, request, reply, request.query);
      if (holder === null) return reply;
      await sessions.release(holder.kind, holder.caller, request.params.id);
      return reply.code(204).send();
    },
  );
}

/** Returns the caller and the kind of a session; null after a problem was sent. */
function holderOf(
  enforcer: Enforcer,
  request: FastifyRequest,
  reply: FastifyReply,
  { kind: kindName, tenant_id: namedTenantId, user }: SessionOptions,
): Holder | null {
  const tenantId = tenantOf(request, reply, namedTenantId);
  if (tenantId === null || request.caller === null) return null;
  const { sessions } = enforcer.policy();
  const kind = kindName === undefined ? sessions.values().next().value : sessions.get(kindName);
  if (kind === undefined) {
    const kinds = [...sessions.keys()].join(', ');
    sendProblem(
      reply,
      plainProblem(400, `kind must be one of: ${kinds === '' ? '(the policy has none)' : kinds}.`),
    );
    return null;
  }
  const { identity } = request.caller;
  const userId = user ?? (identity.service === null ? identity.userId : null);
  const userProblem = userId === null ? null : problemOfUser(identity, userId);
  if (userProblem !== null) {
    sendProblem(reply, userProblem);
    return null;
  }
  const wrong = userId === null ? null : problemOfId(userId);
  if (wrong !== null) {
    sendProblem(reply, plainProblem(400, `user ${wrong}.`));
    return null;
  }
  return { kind, caller: { tenantId, userId, ip: identity.ip } };
}

function viewOf(kind: SessionKind, id: string, answer: SessionAnswer): object {
  return {
    session_id: id,
    kind: kind.name,
    active: answer.active,
    limit: answer.limit,
    expires_at: new Date(answer.expiresAtMs).toISOString(),
    heartbeat_seconds: Math.max(1, Math.floor(kind.ttlMs / 3000)),
    degraded: answer.degraded,
  };
}

function sendLimitProblem(
  enforcer: Enforcer,
  reply: FastifyReply,
  { kind, caller }: Holder,
  answer: SessionAnswer,
): FastifyReply {
  const seconds = Math.max(1, Math.ceil((answer.retryAfterMs ?? kind.ttlMs) / 1000));
  const { links } = enforcer.policy();
  const subject = kind.per.includes('user') ? 'this user' : 'this tenant';
  void reply.header('retry-after', String(seconds));
  sendProblem(reply, {
    ...plainProblem(
      429,
      `${kind.limit} ${kind.name} ${nounFor(kind.limit, 'session')} at once allowed for ${subject}; try again in ${seconds} s`,
    ),
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    error: `Session limit exceeded: ${kind.limit} at once`,
    'violated-policies': [kind.name],
    limit: kind.limit,
    window_seconds: 0,
    remaining: 0,
    active: answer.active,
    retry_after_seconds: seconds,
    reset: Math.ceil(enforcer.clock.now() / 1000) + seconds,
    tenant_id: caller.tenantId,
    documentation_url: links.documentation,
    upgrade_url: links.upgrade,
  });
  return reply;
}
