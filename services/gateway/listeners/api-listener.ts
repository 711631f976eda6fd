import { METHODS } from 'node:http';
import { fastify } from 'fastify';
import type { FastifyError, FastifyRequest } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { declareAccess, guardRoutes } from '../../../shared/runtime/http/access.ts';
import { BodyError, acceptJson } from '../../../shared/runtime/http/json-body.ts';
import { describeApi } from '../../../shared/runtime/http/openapi.ts';
import { apiDescription } from './api-description.ts';
import { answerPreflights, acceptBodies, refuseFaults, trackRequests } from './api-hooks.ts';
import { bodyBytesMax } from '../entrypoints/api/api-server.ts';
import type { ApiOptions, ApiServer } from '../entrypoints/api/api-server.ts';
import {
  chargeApiRequests,
  chargeFault,
  chargeUndecided,
  respondToFault,
} from '../entrypoints/api/charging.ts';
import { serverOptions } from './proxy-listener.ts';
import { registerSchemas, schemaRoutes } from './published-schemas.ts';
import { refuseOutOfScope, requireCredential } from '../entrypoints/api/caller.ts';
import { writeOwnCors } from '../responses/cors.ts';
import { registerAuthz } from '../entrypoints/api/authz.ts';
import { registerCheck } from '../entrypoints/api/check.ts';
import { registerDecisions } from '../entrypoints/api/decisions.ts';
import { registerEnvoyAuthorization } from '../entrypoints/envoy/authorization-http.ts';
import { registerEvents } from '../entrypoints/api/events.ts';
import { registerLimits } from '../entrypoints/api/limits.ts';
import { registerMeters } from '../entrypoints/api/meters.ts';
import { registerOutcomes } from '../entrypoints/api/outcomes.ts';
import { registerReservations } from '../entrypoints/api/reservations/reservations.ts';
import { registerSessions } from '../entrypoints/api/sessions.ts';
import { registerUsage } from '../entrypoints/api/usage.ts';
import type { Enforcer } from '../enforcer/enforcer.ts';
import { limitHeaders } from '../responses/limit-headers.ts';
import type { ResponseHeaders } from '../responses/limit-headers.ts';
import { anonymous } from '../enforcer/identify.ts';
import { decodeBody } from '../ingest/content-coding.ts';
import { plainProblem, problemOf, sendProblem } from '../responses/problem.ts';

/**
 * Longest path parameter that the router accepts. It exceeds the bounds in the schemas, so that a schema and not the
 * router reports a parameter that is too long.
 */
const paramLengthMax = 2_000;
/**
 * The only routes that a caller may use without a credential. In a call of authz, the credential is that of the proxy's
 * client, and the decision verifies it.
 */
const openRoutes = [
  'GET /v1/authz',
  '* /v1/ext-authz',
  '* /v1/ext-authz/*',
  'GET /openapi.json',
  ...schemaRoutes,
];

/**
 * The listener for API servers, proxies and tenants. Its callers describe a request and do not send the request itself.
 */
export async function createApiServer(options: ApiOptions): Promise<ApiServer> {
  const { enforcer } = options;
  const app = fastify({
    ...serverOptions(enforcer, 'api', options.bounds),
    bodyLimit: bodyBytesMax,
    routerOptions: { maxParamLength: paramLengthMax },
    // Violations are reported and not corrected, for example a number that is sent as text, or an unknown member.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, allErrors: false } },
    // Errors of the router itself reach no hook, so the limit headers are written here.
    frameworkErrors: (error, request, reply) => {
      const fault = { status: error.statusCode ?? 400, detail: `${error.message}.` };
      void chargeFault(enforcer, request, reply, fault).then((verdict) => {
        reply.header('connection', 'close').headers(limitHeaders(verdict));
        const { cors } = enforcer.policy();
        if (cors !== null) writeOwnCors(cors, reply);
        sendProblem(reply, problemOf(verdict));
      });
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  addMethods(app);
  registerJsonBody(app);
  app.decorateRequest('caller', null);
  app.decorateRequest('verdict', null);
  trackRequests(app, enforcer);
  answerPreflights(app, enforcer);
  app.addHook('onRequest', async (request) => {
    request.caller = await enforcer.identify(request.headers, request.socket.remoteAddress ?? '');
  });
  refuseFaults(app);
  guardRoutes(app, { listener: 'api', openRoutes, guards: { credential: requireCredential(enforcer) } });
  declareAccess(app, 'credential');
  chargeApiRequests(app, enforcer);
  chargeUndecided(app, enforcer);
  refuseOutOfScope(app, enforcer);
  acceptBodies(app);
  addLimitHeaders(app, enforcer);
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) enforcer.logger.error({ err: error }, `request failed: ${error.message}`);
    const detail = status >= 500 ? 'Something went wrong here.' : detailOf(error);
    // If a request for a decision fails before the decision, it is charged like every other request that
    // cannot be read.
    if (status < 500 && request.routeOptions.config.access === 'decision')
      return respondToFault(enforcer, request, reply, { status, detail });
    sendProblem(reply, plainProblem(status, detail));
    return reply;
  });
  app.setNotFoundHandler((request, reply) => {
    sendProblem(
      reply,
      plainProblem(404, `There is no ${request.method} ${request.url.split('?', 1)[0] ?? ''} here.`),
    );
  });
  await describeApi(app, apiDescription);
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer));
  registerCheck(app, enforcer);
  registerAuthz(app, enforcer);
  registerEnvoyAuthorization(app, enforcer);
  registerEvents(app, options);
  registerUsage(app, options);
  registerMeters(app, options);
  registerLimits(app, enforcer);
  registerDecisions(app, options);
  registerOutcomes(app, options);
  registerReservations(app, options);
  registerSessions(app, options);
  app.get('/openapi.json', { schema: { hide: true }, config: { access: 'public' } }, () => app.swagger());
  registerSchemas(app, options.topics);
  return app;
}

/** Registers the parser of JSON bodies, which may be compressed. */
function registerJsonBody(app: ApiServer): void {
  acceptJson(app, ['application/json'], async (request, body) => {
    const decoded = await decodeBody(request.headers['content-encoding'] ?? '', body, bodyBytesMax);
    if ('status' in decoded) throw new BodyError(decoded.status, decoded.detail);
    return decoded.body;
  });
}

/**
 * Adds the methods of WebDAV and others, because Envoy calls with the method of the client's request. Fastify reads no
 * body for them.
 */
function addMethods(app: ApiServer): void {
  for (const method of METHODS) {
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method);
  }
}

/**
 * Adds the caller's limit headers to every response, also to errors. If the handler made no decision, the limits are
 * read for the headers.
 */
function addLimitHeaders(app: ApiServer, enforcer: Enforcer): void {
  app.addHook('onSend', async (request, reply, payload) => {
    reply.headers(
      request.verdict === null ? await headersOfPeek(enforcer, request) : limitHeaders(request.verdict),
    );
    const { cors } = enforcer.policy();
    if (cors !== null) writeOwnCors(cors, reply);
    return payload;
  });
}

/** Returns limit headers for a response without a decision: there is no decision id and no Retry-After. */
async function headersOfPeek(
  enforcer: Enforcer,
  { caller, headers, socket }: FastifyRequest,
): Promise<ResponseHeaders> {
  const identified = caller ?? {
    identity: anonymous(enforcer.addressOf(headers, socket.remoteAddress ?? '')),
    rejection: null,
  };
  const target = { method: '', url: '/', exemptBy: 'nothing' } as const;
  const peek = { ...target, cost: null, peek: true, hold: false, plan: null };
  const peekHeaders = limitHeaders(await enforcer.decide({ caller: identified, ...peek }));
  delete peekHeaders['x-tollgate-decision'];
  delete peekHeaders['retry-after'];
  delete peekHeaders['x-should-retry'];
  return peekHeaders;
}

/**
 * Converts an error to a sentence, for example a schema violation `body/cost must be >= 1` or a JSON error `Unexpected
 * token …`. The sentence names the field.
 */
function detailOf(error: FastifyError): string {
  const [first] = error.validation ?? [];
  if (first === undefined) return error.message.endsWith('.') ? error.message : `${error.message}.`;
  const field = first.instancePath.slice(1).replaceAll('/', '.');
  const extra = first.params['additionalProperty'];
  const allowed = first.params['allowedValues'];
  const violation = Array.isArray(allowed)
    ? `must be one of: ${allowed.join(', ')}`
    : typeof extra === 'string'
      ? `must not have "${extra}"`
      : (first.message ?? 'is not valid');
  return `${field === '' ? (error.validationContext ?? 'The request') : field} ${violation}.`;
}
