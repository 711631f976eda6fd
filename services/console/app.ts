import { constants as zlib } from 'node:zlib';
import compress from '@fastify/compress';
import cookie from '@fastify/cookie';
import helmet from '@fastify/helmet';
import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { messageOf } from '../../shared/runtime/errors.ts';
import { guardRoutes, guardsOfRoles } from '../../shared/runtime/http/access.ts';
import { answerClientError } from '../../shared/runtime/http/client-error.ts';
import { isCrossSiteChange } from '../../shared/runtime/http/cross-site.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import { measureRequests } from '../../shared/runtime/http/request-metrics.ts';
import { traceRequests } from '../../shared/runtime/http/request-traces.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { storeOf } from '../../shared/runtime/store-reads.ts';
import type { StoreReads } from '../../shared/runtime/store-reads.ts';
import type { Tracing } from '../../shared/runtime/tracing/tracing.ts';
import { createTestMessageRate } from '../../shared/tenants/test-messages/test-messages.ts';
import type { Brand } from './browser/brand.ts';
import { isFragmentRequest } from './browser/fragments.ts';
import { createLiveStreams } from './browser/live-streams.ts';
import { registerShell } from './browser/shell.ts';
import type { Shell } from './browser/shell.ts';
import { acceptForms, readQuery } from './components/form-body.ts';
import { html } from './components/html.ts';
import { emptyState, failedState, page } from './components/layout.ts';
import { createNowReadings } from './now/readings.ts';
import { registerOperator } from './operator/app.ts';
import type { OperatorOptions } from './operator/app.ts';
import { requireOperator } from './operator/signed-in.ts';
import { registerPortal } from './portal/app.ts';
import type { PortalOptions } from './portal/app.ts';
import { requireVisitor } from './portal/visitor.ts';

export type ConsoleOptions = Omit<
  PortalOptions & OperatorOptions,
  'liveStreams' | 'now' | 'testMessageRate'
> &
  ListenerOptions;

interface ListenerOptions {
  /** URL of the console for browsers, without a slash at its end. */
  readonly publicUrl: () => string;
  readonly registry: Registry;
  /** Absent: no traces. */
  readonly tracing?: Tracing | null;
  readonly reads: StoreReads;
  readonly logger: Logger;
  readonly brand: Brand;
}

const bodyBytesMax = 64 * 1024;
/** A page takes about a millisecond to compress. */
const brotliQuality = 4;
/** Smaller responses are not compressed. */
const compressedBytesMin = 1024;

/** Routes that need no session: the two sign-ins, and the files that all pages load. */
const openRoutes = [
  'GET /',
  'GET /sign-in',
  'POST /sign-in',
  'POST /sign-out',
  'GET /operator',
  'POST /operator/sign-in',
  'POST /operator/sign-out',
  'GET /operator/oidc/start',
  'GET /operator/oidc/callback',
  'GET /operator/oidc/end',
  'GET /healthz',
  'GET /assets/:version/:name',
];

/**
 * The public listener: the portal at `/`, the operator console under `/operator`. Pages are rendered here and work
 * without scripts; scripts only replace parts of a page by newer ones, and draw charts. The content security policy allows no inline script or
 * style, no frame and no other origin.
 */
export async function createConsoleApp(options: ConsoleOptions): Promise<FastifyInstance> {
  const app = fastify({
    bodyLimit: bodyBytesMax,
    routerOptions: { maxParamLength: 2000, querystringParser: readQuery },
    clientErrorHandler: answerClientError,
    // Hooks do not run for errors of the router, so these responses get no content security policy. For a path that
    // cannot be decoded the response becomes a 404.
    rewriteUrl: ({ url = '/' }) => (isDecodable(url) ? url : undecodablePath),
  });
  measureRequests(app, 'console', options.registry);
  traceRequests(app, options.tracing ?? null);
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'"],
        connectSrc: ["'self'"],
        formAction: ["'self'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    referrerPolicy: { policy: 'no-referrer' },
    // The console sends no Strict-Transport-Security: the proxy that terminates TLS decides whether browsers must use
    // HTTPS.
    strictTransportSecurity: false,
  });
  await app.register(compress, {
    threshold: compressedBytesMin,
    encodings: ['br', 'gzip', 'identity'],
    brotliOptions: { params: { [zlib.BROTLI_PARAM_QUALITY]: brotliQuality } },
  });
  await app.register(cookie);
  refuseCrossSiteChanges(app, options);
  guardSessions(app, options);
  registerShell(app, options.brand);
  acceptForms(app);
  answerWithPages(app, options);
  app.get('/healthz', { config: { access: 'public' } }, () => ({ status: 'ok' }));
  const liveStreams = createLiveStreams(app, options.registry);
  const now = createNowReadings(options);
  // Portal and operator console share it: a tenant's targets receive a bounded number of test messages from both.
  const testMessageRate = createTestMessageRate(options.clock);
  registerPortal(app, { ...options, liveStreams, now, testMessageRate });
  registerOperator(app, { ...options, liveStreams, now, testMessageRate });
  return app;
}

const undecodablePath = '/undecodable';

function isDecodable(url: string): boolean {
  try {
    decodeURIComponent(url.split('?', 1)[0] ?? '');
    return true;
  } catch {
    return false;
  }
}

/**
 * Additional protection against requests from other sites. The first protection is `SameSite`: browsers send no
 * session cookies with such requests.
 */
function refuseCrossSiteChanges(
  app: FastifyInstance,
  { publicUrl }: Pick<ConsoleOptions, 'publicUrl'>,
): void {
  app.addHook('onRequest', (request, reply, next) => {
    if (!isCrossSiteChange(request, publicUrl())) {
      next();
      return;
    }
    void reply
      .code(403)
      .type('text/html')
      .send(
        plainPage(app.shell, 'Not from here', 'This form was sent by another site, so nothing was done.'),
      );
  });
}

function guardSessions(app: FastifyInstance, options: ConsoleOptions): void {
  app.decorateRequest('visitor', null);
  app.decorateRequest('operator', null);
  app.decorateRequest('operatorSessionId', '');
  guardRoutes(app, {
    listener: 'console',
    openRoutes,
    guards: {
      'portal-session': (request, reply) => requireVisitor(options, request, reply),
      ...guardsOfRoles('operator-session', (needed, request, reply) =>
        requireOperator(options, needed, request, reply),
      ),
    },
  });
}

function answerWithPages(
  app: FastifyInstance,
  { logger, reads }: Pick<ConsoleOptions, 'logger' | 'reads'>,
): void {
  app.setNotFoundHandler((_request, reply) =>
    reply
      .code(404)
      .type('text/html')
      .send(plainPage(app.shell, 'No such page', 'The address may be mistyped or out of date.')),
  );
  app.setErrorHandler((error, request, reply) => {
    const store = storeOf(error);
    const status = store === null ? ((error as { statusCode?: number }).statusCode ?? 500) : 503;
    if (store !== null) reads.countFailure(store);
    logger[status < 500 ? 'info' : 'error']({ err: error, url: request.url.split('?')[0] }, messageOf(error));
    void reply.code(status).header('cache-control', 'no-store').type('text/html');
    if (isFragmentRequest(request)) return reply.send(failedState('This part').markup);
    const body =
      status < 500
        ? emptyState('That did not work', messageOf(error))
        : html`<div class="card">${failedState('This page')}</div>`;
    const title = 'Something is wrong';
    return reply.send(page({ title, area: 'portal', nav: [], here: '', who: null, body }, app.shell));
  });
}

function plainPage(shell: Shell, title: string, text: string): string {
  const body = html`<div class="card narrow">
    ${emptyState(title, text)}
    <p><a href="/">Go to the start</a></p>
  </div>`;
  return page({ title, area: 'portal', nav: [], here: '', who: null, body }, shell);
}
