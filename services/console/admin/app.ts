import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { fastify } from 'fastify';
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify';
import { declareAccess, guardRoutes } from '../../../shared/runtime/http/access.ts';
import type { Guard } from '../../../shared/runtime/http/access.ts';
import { answerClientError } from '../../../shared/runtime/http/client-error.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import { describeApi } from '../../../shared/runtime/http/openapi.ts';
import { acceptJson } from '../../../shared/runtime/http/json-body.ts';
import { faultsIn, textOfFaults } from '../../../shared/runtime/http/schema-faults.ts';
import { refuseForeignHosts } from '../../../shared/runtime/http/loopback-host.ts';
import { opsRoutes, registerOps } from '../../../shared/runtime/http/ops.ts';
import type { ConsoleParts } from '../console.ts';
import { measureRequests } from '../measure-requests.ts';
import { isCrossSiteChange } from '../same-origin.ts';
import { storeOf } from '../store-of.ts';
import { sendProblem } from './answer.ts';
import type { AdminApp } from './answer.ts';
import { apiDescription } from './api-description.ts';
import { requireToken } from './authenticate.ts';
import { registerControls } from './controls.ts';
import { registerInstallation } from './installation.ts';
import { mergePatchType } from './operations.ts';
import { registerPortalAccess } from './portal-access.ts';
import { registerTenants } from './tenants.ts';
import { validatorFor } from './validation.ts';

const bodyBytesMax = 256 * 1024;

/** The only routes of the admin listener that need no token. */
const openRoutes = [...opsRoutes, 'GET /admin/openapi.json'];

/**
 * The admin API, and the process's metrics and health beside it. Private by its address, and closed by a token: all
 * but `openRoutes` answers 401 without it, also what matches no route.
 */
export async function createAdminApp(parts: ConsoleParts): Promise<FastifyInstance> {
  const app = fastify({
    bodyLimit: bodyBytesMax,
    routerOptions: { maxParamLength: 2000 },
    clientErrorHandler: answerClientError,
    // The router's own errors pass no hook, so the token is looked at here.
    frameworkErrors: (error, request, reply) => {
      if (requireToken(parts.adminToken, request, reply) === undefined)
        void sendProblem(reply, error.statusCode ?? 400, 'Request not understood', error.message);
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  // Bodies are JSON: a page of another site can send text or a form without asking, and JSON it cannot.
  app.removeContentTypeParser('text/plain');
  acceptJson(app, ['application/json', mergePatchType]);
  app.setValidatorCompiler(validatorFor);
  measureRequests(app, 'admin', parts.metrics);
  answerWithProblems(app, parts);
  refuseForeignHosts(app);
  refuseCrossSiteChanges(app);
  const admin: Guard = (request, reply) => requireToken(parts.adminToken, request, reply);
  guardRoutes(app, { listener: 'admin', openRoutes, guards: { admin }, unmatched: admin });
  registerOps(app, {
    registry: parts.registry,
    unready: () => unready(parts),
    notes: () => parts.notes?.() ?? [],
  });
  await describeApi(app, apiDescription);
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer));
  await app.register((scope) => {
    const api = scope.withTypeProvider<TypeBoxTypeProvider>();
    declareAccess(api, 'admin');
    registerTenants(api, parts);
    registerControls(api, parts);
    registerInstallation(api, parts);
    registerPortalAccess(api, parts);
    api.get('/admin/openapi.json', { schema: { hide: true }, config: { access: 'public' } }, () =>
      app.swagger(),
    );
  });
  return app;
}

function refuseCrossSiteChanges(app: Pick<AdminApp, 'addHook'>): void {
  app.addHook('onRequest', (request, reply, next) => {
    if (isCrossSiteChange(request))
      void sendProblem(reply, 403, 'Not from here', 'A page of another site sent this; nothing was done.');
    else next();
  });
}

export function unready(parts: ConsoleParts): readonly string[] {
  return [
    ...(parts.directory.ready() ? [] : ['tenant records']),
    ...(parts.sessionEnds.ready() ? [] : ['ended sessions']),
  ];
}

function answerWithProblems(
  app: Pick<AdminApp, 'setErrorHandler' | 'setNotFoundHandler'>,
  parts: ConsoleParts,
): void {
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      reply,
      404,
      'No such endpoint',
      `${request.method} ${request.url.split('?')[0] ?? ''} is not part of the admin API.`,
    ),
  );
  app.setErrorHandler((error, request, reply) => {
    const store = storeOf(error);
    if (store !== null) {
      parts.metrics.failedReads.inc({ store });
      parts.logger.warn({ err: error, url: request.url }, 'a store did not answer');
      return sendProblem(
        reply,
        503,
        `${store} does not answer`,
        `${messageOf(error)}. Try again in a moment.`,
      );
    }
    const status = (error as { statusCode?: number }).statusCode ?? 500;
    if (status < 500)
      return sendMisunderstood(reply, status, error as FastifyError, request.routeOptions.config.document);
    parts.logger.error({ err: error, url: request.url }, 'admin request failed');
    return sendProblem(reply, 500, 'Failed', 'This is a fault of the console; its log says more.');
  });
}

/** A document that is JSON and does not hold to its contract is 422; any other mistake is a 400 or its like. */
function sendMisunderstood(
  reply: FastifyReply,
  status: number,
  error: FastifyError,
  isDocument = false,
): FastifyReply {
  const { validation, validationContext = 'request', message } = error;
  const title = 'Request not understood';
  if (validation === undefined) return sendProblem(reply, status, title, message);
  const faults = faultsIn(validation);
  const ofBody = validationContext === 'body';
  const detail = textOfFaults(faults, ofBody ? 'The body' : validationContext);
  return sendProblem(reply, ofBody && isDocument ? 422 : status, title, detail, faults);
}
