import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { fastify } from 'fastify';
import type { FastifyError, FastifyInstance } from 'fastify';
import { readInstant } from '../../../shared/domain/instant.ts';
import { declareAccess, guardRoutes } from '../../../shared/runtime/access.ts';
import type { Guard } from '../../../shared/runtime/access.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import { refuseForeignHosts } from '../../../shared/runtime/loopback-host.ts';
import { opsRoutes, registerOps } from '../../../shared/runtime/ops.ts';
import type { ConsoleParts } from '../console.ts';
import { measureRequests } from '../measure-requests.ts';
import { isCrossSiteChange } from '../same-origin.ts';
import { storeOf } from '../store-of.ts';
import { sendProblem } from './answer.ts';
import type { AdminApp } from './answer.ts';
import { requireToken } from './authenticate.ts';
import { registerControls } from './controls.ts';
import { registerInstallation } from './installation.ts';
import { registerTenants } from './tenants.ts';

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
    ajv: {
      customOptions: { removeAdditional: false, coerceTypes: 'array', allErrors: true },
      // In place of that of ajv-formats, which takes more than RFC 3339 does.
      onCreate: (ajv) => ajv.addFormat('date-time', (value: string) => readInstant(value) !== null),
    },
    // The router's own errors pass no hook, so the token is looked at here.
    frameworkErrors: (error, request, reply) => {
      if (requireToken(parts.adminToken, request, reply) === undefined)
        void sendProblem(reply, error.statusCode ?? 400, 'Request not understood', error.message);
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  // Bodies are JSON: a page of another site can send text or a form without asking, and JSON it cannot.
  app.removeContentTypeParser('text/plain');
  measureRequests(app, 'admin', parts.metrics);
  answerWithProblems(app, parts);
  refuseForeignHosts(app);
  refuseCrossSiteChanges(app);
  const admin: Guard = (request, reply) => requireToken(parts.adminToken, request, reply);
  guardRoutes(app, { listener: 'admin', openRoutes, guards: { admin }, unmatched: admin });
  registerOps(app, { registry: parts.registry, unready: () => unready(parts) });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Tollgate admin API',
        version: '1',
        description: 'Tenants, their limits, blocks, boosts and keys. Name who acts in X-Actor.',
      },
      components: { securitySchemes: { admin: { type: 'http', scheme: 'bearer' } } },
      security: [{ admin: [] }],
    },
  });
  await app.register((scope) => {
    const api = scope.withTypeProvider<TypeBoxTypeProvider>();
    declareAccess(api, 'admin');
    registerTenants(api, parts);
    registerControls(api, parts);
    registerInstallation(api, parts);
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
  return parts.directory.ready() ? [] : ['tenant records'];
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
    if (status < 500) return sendProblem(reply, status, 'Request not understood', adviceOf(error));
    parts.logger.error({ err: error, url: request.url }, 'admin request failed');
    return sendProblem(reply, 500, 'Failed', 'This is a fault of the console; its log says more.');
  });
}

/** What the validator found, naming the fields it does not know. */
function adviceOf(error: unknown): string {
  const { validation = [], validationContext = 'request' } = error as Partial<FastifyError>;
  const mistakes = validation.map(({ instancePath, message, params }) => {
    const field = instancePath.slice(1).replaceAll('/', '.') || validationContext;
    const unknown = params['additionalProperty'];
    return typeof unknown === 'string'
      ? `${field}: there is no field “${unknown}”`
      : `${field} ${message ?? 'is invalid'}`;
  });
  return mistakes.length === 0 ? messageOf(error) : `${[...new Set(mistakes)].join('; ')}.`;
}
