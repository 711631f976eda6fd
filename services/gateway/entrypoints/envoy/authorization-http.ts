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
 * Envoy's `ext_authz` filter over HTTP with `path_prefix: /v1/ext-authz`: the call has the original method, and the
 * original target after the prefix. A 200 lets the request pass; Envoy sends any other status, with its fields and
 * body, to the client. A body is never read.
 */
export function registerEnvoyAuthorization(app: ApiServer, enforcer: Enforcer): void {
  const options = {
    config: { access: 'decision', work: 'decision' } as const,
    schema: { hide: true },
  };
  // In a scope of its own: the fields are those of the client's request, so its Content-Type does not describe this
  // body.
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
  // The router matches decoded paths; the decision needs the target that was sent.
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
