import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Ajv } from 'ajv';
import type { ValidateFunction } from 'ajv';
import { fastify } from 'fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { roles } from '../../shared/domain/operators/operator.ts';
import type { TenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { messageOf } from '../../shared/runtime/errors.ts';
import { guardRoutes, guardsOfRoles } from '../../shared/runtime/http/access.ts';
import { answerClientError } from '../../shared/runtime/http/client-error.ts';
import { isCrossSiteChange } from '../../shared/runtime/http/cross-site.ts';
import { acceptJson } from '../../shared/runtime/http/json-body.ts';
import { refuseForeignHosts } from '../../shared/runtime/http/loopback-host.ts';
import { describeApi } from '../../shared/runtime/http/openapi.ts';
import type { ApiDescription } from '../../shared/runtime/http/openapi.ts';
import { opsRoutes, registerOps } from '../../shared/runtime/http/ops.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import { sendProblem } from '../../shared/runtime/http/problem.ts';
import { measureRequests } from '../../shared/runtime/http/request-metrics.ts';
import { traceRequests } from '../../shared/runtime/http/request-traces.ts';
import { violationsFrom, textOfViolations } from '../../shared/runtime/http/schema-violations.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { storeOf } from '../../shared/runtime/store-reads.ts';
import type { StoreReads } from '../../shared/runtime/store-reads.ts';
import type { Tracing } from '../../shared/runtime/tracing/tracing.ts';
import type { EndedSessions } from '../../shared/sessions/ended-sessions.ts';
import type { Operators } from '../../shared/sessions/operators.ts';
import { recordFormats } from '../../shared/tenants/record/violations.ts';
import { declareRoles } from './answer.ts';
import type { AdminApp } from './answer.ts';
import { registerApiKeys } from './api-keys.ts';
import { requireToken } from './authenticate.ts';
import { registerControls } from './tenants/controls.ts';
import type { ControlOptions } from './tenants/controls.ts';
import { registerInstallation } from './installation.ts';
import type { InstallationOptions } from './installation.ts';
import { registerChanges } from './changes/routes.ts';
import { registerLimitRequests } from './limit-requests/routes.ts';
import { mergePatchType } from './operations.ts';
import { registerPolicy } from './policy/routes.ts';
import type { PolicyRouteOptions } from './policy/routes.ts';
import { registerPortalAccess } from './portal-access.ts';
import type { PortalAccessOptions } from './portal-access.ts';
import { registerRecorded } from './recorded/routes.ts';
import { registerTestAlert } from './tenants/test-alert.ts';
import type { TestAlertOptions } from './tenants/test-alert.ts';
import { registerTenants } from './tenants/tenants.ts';
import type { TenantOptions } from './tenants/tenants.ts';

export interface AdminOptions
  extends
    TenantOptions,
    ControlOptions,
    InstallationOptions,
    PolicyRouteOptions,
    PortalAccessOptions,
    TestAlertOptions,
    ErrorOptions {
  readonly directory: Pick<TenantDirectory, 'all' | 'get' | 'ready'>;
  readonly ended: Pick<EndedSessions, 'ready'>;
  readonly operators: Operators;
  readonly registry: Registry;
  /** Absent: no traces. */
  readonly tracing?: Tracing | null;
  /** Sentences for `/readyz` about disturbances that do not stop this process from working. */
  readonly notes?: () => readonly string[];
}

interface ErrorOptions {
  readonly logger: Logger;
  readonly reads: StoreReads;
}

const bodyBytesMax = 256 * 1024;

/** Routes of the admin listener that need no token; all other routes need one. */
const openRoutes = [...opsRoutes, 'GET /admin/openapi.json'];

/**
 * The admin API, and the metrics and health of its process. It listens on a private address and requires a token: a
 * request without a valid token gets 401 on every route outside `openRoutes`, and also if no route matches it. A request
 * of an operator whose role is too low gets 403.
 */
export async function createAdminApp(options: AdminOptions): Promise<FastifyInstance> {
  const { operators, registry, directory, ended, notes = () => [] } = options;
  const app = fastify({
    bodyLimit: bodyBytesMax,
    routerOptions: { maxParamLength: 2000 },
    clientErrorHandler: answerClientError,
    // Hooks do not run for errors of the router, so the token is checked here.
    frameworkErrors: (error, request, reply) => {
      if (requireToken(operators, 'viewer', request, reply) === undefined)
        void sendProblem(reply, error.statusCode ?? 400, 'Request not understood', error.message);
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  // Accepts JSON only. A page of another site can send text or a form without a CORS preflight, but it cannot send
  // JSON.
  app.removeContentTypeParser('text/plain');
  acceptJson(app, ['application/json', mergePatchType]);
  app.setValidatorCompiler(validatorFor);
  measureRequests(app, 'admin', registry);
  traceRequests(app, options.tracing ?? null);
  answerWithProblems(app, options);
  refuseForeignHosts(app);
  refuseCrossSiteChanges(app);
  app.decorateRequest('operator', null);
  app.decorateRequest('actorNamed', null);
  const guards = guardsOfRoles('operator-token', (needed, request, reply) =>
    requireToken(operators, needed, request, reply),
  );
  guardRoutes(app, { listener: 'admin', openRoutes, guards, unmatched: guards['operator-token:viewer'] });
  registerOps(app, {
    registry,
    unready: () => [
      ...(directory.ready() ? [] : ['tenant records']),
      ...(ended.ready() ? [] : ['ended sessions']),
    ],
    notes,
  });
  await describeApi(app, apiDescription);
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer));
  await app.register((scope) => {
    const api = scope.withTypeProvider<TypeBoxTypeProvider>();
    declareRoles(api);
    registerTenants(api, options);
    registerControls(api, options);
    registerChanges(api, options);
    registerTestAlert(api, options);
    registerLimitRequests(api, options);
    registerRecorded(api, options);
    registerApiKeys(api, options);
    registerInstallation(api, options);
    registerPolicy(api, options);
    registerPortalAccess(api, options);
    api.get('/admin/openapi.json', { schema: { hide: true }, config: { access: 'public' } }, () =>
      app.swagger(),
    );
  });
  return app;
}

/** Parts of `GET /admin/openapi.json` that apply to all operations. */
const apiDescription: ApiDescription = {
  title: 'Tollgate admin API',
  description:
    'Tenants, their limits, blocks, boosts and keys. Every answer that is not a success is a problem (RFC 9457) with a ' +
    'detail that says what to do.',
  tags: [
    { name: 'Tenants', description: 'Records and status of tenants.' },
    { name: 'Controls', description: 'Resets, blocks and temporary increases.' },
    { name: 'Usage', description: 'Recorded events, decisions and totals.' },
    { name: 'Credentials', description: 'API keys and portal links.' },
    { name: 'Policy', description: 'The policy in force, its history, and backtests of proposed policies.' },
    { name: 'Installation', description: 'Operations on all tenants: history, dead letters, losses.' },
  ],
  securitySchemes: {
    admin: {
      type: 'http',
      scheme: 'bearer',
      description: 'The token of an operator, or the shared admin token (TOLLGATE_ADMIN_TOKEN).',
    },
  },
  // An operation names the role that its operator needs.
  security: Object.fromEntries(roles.map((role) => [`operator-token:${role}`, [{ admin: [role] }]])),
  problems: [400, 401, 403, 408, 421, 431, 503],
  responseHeaders: {},
};

const validation = { allErrors: true, verbose: true, allowUnionTypes: true, formats: { ...recordFormats } };
/** Values in a body are not converted to the type of the schema, so a client reads back exactly what it wrote. */
const bodies = new Ajv(validation);
/**
 * Parameters are texts, and are converted to the type of their schema. The text `1e309` becomes Infinity, to which Ajv applies
 * bounds only without `strictNumbers`.
 */
const parameters = new Ajv({ ...validation, coerceTypes: 'array', useDefaults: true, strictNumbers: false });

const validatorFor: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }): ValidateFunction =>
  (httpPart === 'body' ? bodies : parameters).compile(schema);

function refuseCrossSiteChanges(app: Pick<AdminApp, 'addHook'>): void {
  app.addHook('onRequest', (request, reply, next) => {
    if (isCrossSiteChange(request))
      void sendProblem(reply, 403, 'Not from here', 'A page of another site sent this; nothing was done.');
    else next();
  });
}

function answerWithProblems(
  app: Pick<AdminApp, 'setErrorHandler' | 'setNotFoundHandler'>,
  { logger, reads }: ErrorOptions,
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
      reads.countFailure(store);
      logger.warn({ err: error, url: request.url }, 'a store did not answer');
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
    logger.error({ err: error, url: request.url }, 'admin request failed');
    return sendProblem(reply, 500, 'Failed', 'The admin API has an error; its log has the details.');
  });
}

/**
 * Answers 422 if a record or a part of one violates its contract. For other invalid requests, answers with the status
 * of the error, usually 400.
 */
function sendMisunderstood(
  reply: FastifyReply,
  status: number,
  error: FastifyError,
  isDocument = false,
): FastifyReply {
  const { validation: found, validationContext = 'request', message } = error;
  const title = 'Request not understood';
  if (found === undefined) return sendProblem(reply, status, title, message);
  const violations = violationsFrom(found);
  const ofBody = validationContext === 'body';
  const detail = textOfViolations(violations, ofBody ? 'The body' : validationContext);
  return sendProblem(reply, ofBody && isDocument ? 422 : status, title, detail, violations);
}
