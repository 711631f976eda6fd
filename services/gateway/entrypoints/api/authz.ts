import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import type { ApiServer } from './api-server.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { delayRequest } from '../../enforcer/slow-down.ts';
import { problemOf, sendProblem } from '../../responses/problem.ts';
import type { Problem } from '../../responses/problem.ts';
import { passes } from '../../enforcer/verdict.ts';
import { noBody } from './response-schemas.ts';
import { identityHeaders } from '../identity-headers.ts';
import { originalRequest, sources } from './original-request.ts';

const querySchema = Type.Object({
  source: Type.Optional(
    Type.Enum([...sources], {
      description:
        'Which fields describe the request: original (X-Original-Method, -URI; nginx) or forwarded (X-Forwarded-Method, -Uri; Traefik, Caddy). Set it in the configuration of the proxy.',
    }),
  ),
  refuse: Type.Optional(
    Type.Enum(['403'] as const, {
      description: 'Refuse with 403 where the proxy does not support 429 (nginx).',
    }),
  ),
});

const field = (description: string) => ({ description, schema: { type: 'string' } });

const describingFields = {
  'X-Original-Method': field('Method of the request (source=original).'),
  'X-Original-URI': field('Its request-target (source=original).'),
  'X-Forwarded-Method': field('Method of the request (source=forwarded).'),
  'X-Forwarded-Uri': field('Its request-target (source=forwarded).'),
};

const passedFields = {
  'X-Tollgate-Plan': field('Plan of the caller.'),
  'X-Tollgate-Tenant': field('Tenant of the caller, percent-encoded; absent for one without a tenant.'),
  'X-Tollgate-User': field('User of the caller, percent-encoded; absent for one without a user.'),
};

const refusedFields = {
  'X-Tollgate-Status': field('Status of the response to the client (refuse=403).'),
  'X-Tollgate-Problem': field('Problem for the client, as JSON (refuse=403).'),
};

/**
 * `GET /v1/authz` for proxies that send a subrequest before they forward a request: nginx `auth_request`, and the
 * forward authentication of Traefik and Caddy. The subrequest describes the request in header fields (see
 * `originalRequest`) and has the client's credentials.
 *
 * Nginx accepts only 2xx, 401 and 403 as responses to a subrequest. With `?refuse=403` every refusal except a 401 is
 * therefore sent as a 403, and the fields X-Tollgate-Status and X-Tollgate-Problem contain the status and the problem
 * for the client.
 */
export function registerAuthz(app: ApiServer, enforcer: Enforcer): void {
  app.get(
    '/v1/authz',
    {
      schema: {
        operationId: 'authorize',
        tags: ['Decisions'],
        summary: 'Decide for a proxy (auth_request, forward-auth)',
        description:
          'The proxy describes the request by header fields, and passes the credentials of its client on.',
        querystring: querySchema,
        requestHeaders: { ...describingFields },
        response: { 200: noBody('The request passes.') },
        responseHeaders: { 200: passedFields, 403: refusedFields },
        problems: [403],
      },
      config: { access: 'decision', work: 'decision' },
    },
    async (request, reply) => {
      const startedAt = performance.now();
      const { source, refuse } = request.query;
      const { caller } = request;
      if (caller === null) throw new TypeError('A handler runs after the caller is identified.');
      const verdict = await enforcer.decide({
        caller,
        headers: request.headers,
        ...originalRequest(request.headers, source, enforcer.policy().requests),
        cost: null,
        peek: false,
        hold: false,
        plan: null,
      });
      request.verdict = verdict;
      await delayRequest(enforcer, verdict);
      const problem = passes(verdict) ? null : problemOf(verdict);
      const status = problem?.status ?? 200;
      await enforcer.meter(verdict, {
        status,
        latencyMs: performance.now() - startedAt,
        entrypoint: 'authz',
      });
      enforcer.checked.remember(verdict);
      if (problem !== null) return sendRejection(reply, problem, refuse === '403');
      return reply.headers(identityHeaders(verdict)).code(200).send();
    },
  );
}

function sendRejection(reply: FastifyReply, problem: Problem, as403: boolean): FastifyReply {
  if (!as403) {
    sendProblem(reply, problem);
    return reply;
  }
  void reply.header('x-tollgate-status', String(problem.status)).header('x-tollgate-problem', ascii(problem));
  sendProblem(reply, problem.status === 401 ? problem : { ...problem, status: 403 });
  return reply;
}

/** Writes a problem as JSON for a header field: characters outside ASCII are escaped. */
function ascii(problem: Problem): string {
  return JSON.stringify(problem).replaceAll(
    /[^\u0020-\u007e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
