import type { FastifyReply, FastifyRequest } from 'fastify';
import { respondToFault } from '../api/charging.ts';
import type { ApiServer } from '../api/api-server.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { delayRequest } from '../../enforcer/slow-down.ts';
import { problemOf, sendProblem } from '../../responses/problem.ts';
import { receivedRequest } from '../../enforcer/read-request.ts';
import { passes } from '../../enforcer/verdict.ts';
import { identityHeaders } from '../identity-headers.ts';

const prefix = '/v1/ext-authz';

/**
 * Envoy's `ext_authz` filter over HTTP with `path_prefix: /v1/ext-authz`. Envoy calls with the method of the client's
 * request; the target of the call is the prefix followed by the client's target. After a 200, Envoy lets the request
 * pass; any other response is sent to the client with its status, fields and body. The body of a call is never read.
 */
export function registerEnvoyAuthorization(app: ApiServer, enforcer: Enforcer): void {
  const options = {
    config: { access: 'decision', work: 'decision' } as const,
    schema: { hide: true },
  };
  // These routes have their own Fastify scope, because their Content-Type has to be replaced: it is that of
  // the client's request and does not describe the body of the call.
  void app.register((scope: ApiServer, _none: object, done: () => void) => {
    scope.addHook('onRequest', (request, _reply, next) => {
      request.raw.headers['content-type'] = 'application/octet-stream';
      next();
    });
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _body, parsed) => parsed(null));
    scope.all(prefix, options, (request, reply) => authorize(enforcer, request, reply));
    scope.all(`${prefix}/*`, options, (request, reply) => authorize(enforcer, request, reply));
    done();
  });
}

async function authorize(
  enforcer: Enforcer,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const startedAt = performance.now();
  // The router matches the decoded path, but the decision needs the target exactly as Envoy sent it.
  const target = request.raw.url ?? '';
  if (!target.startsWith(prefix) || request.caller === null) {
    return respondToFault(enforcer, request, reply, {
      status: 400,
      detail: `The target must begin with ${prefix}.`,
    });
  }
  const suffix = target.slice(prefix.length);
  const original = suffix.startsWith('/') ? suffix : `/${suffix}`;
  const verdict = await enforcer.decide({
    caller: request.caller,
    headers: request.headers,
    ...receivedRequest(request.method, original, request.headers, enforcer.policy().requests),
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
    entrypoint: 'ext_authz',
  });
  if (problem === null) return reply.headers(identityHeaders(verdict)).code(200).send();
  sendProblem(reply, problem);
  return reply;
}
