import { isUtf8 } from 'node:buffer';
import { fileURLToPath } from 'node:url';
import { dirname } from 'node:path';
import cookie from '@fastify/cookie';
import helmet from '@fastify/helmet';
import serveStatic from '@fastify/static';
import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { declareAccess, guardRoutes } from '../../shared/runtime/http/access.ts';
import { answerClientError } from '../../shared/runtime/http/client-error.ts';
import { messageOf } from '../../shared/runtime/errors.ts';
import { BodyError } from '../../shared/runtime/http/json-body.ts';
import { storeOf } from './store-of.ts';
import type { ConsoleParts } from './console.ts';
import { measureRequests } from './measure-requests.ts';
import { registerOperator } from './operator/app.ts';
import { requireOperator } from './operator/signed-in.ts';
import { html } from './pages/html.ts';
import { emptyState, failedState, page } from './pages/layout.ts';
import { registerPortal } from './portal/app.ts';
import { requireVisitor } from './portal/visitor.ts';
import { readQuery } from './query-fields.ts';
import { isCrossSiteChange } from './same-origin.ts';

const bodyBytesMax = 64 * 1024;
const assetsFolder = fileURLToPath(new URL('./assets', import.meta.url));

/** The only routes that need no session: the two sign-ins, and what every page loads. */
const openRoutes = [
  'GET /',
  'GET /sign-in',
  'POST /sign-in',
  'POST /sign-out',
  'GET /operator',
  'POST /operator/sign-in',
  'POST /operator/sign-out',
  'GET /healthz',
  'GET /assets/*',
  'GET /vendor/uplot/*',
];

/**
 * The public listener: the portal at `/`, the operator console under `/operator`. Pages are rendered here and work
 * without scripts; scripts only keep figures live and draw graphs. The policy below allows no inline script or style,
 * no frame and no other origin.
 */
export async function createWebApp(parts: ConsoleParts): Promise<FastifyInstance> {
  const app = fastify({
    bodyLimit: bodyBytesMax,
    routerOptions: { maxParamLength: 2000, querystringParser: readQuery },
    clientErrorHandler: answerClientError,
    // The router's own errors pass no hook, and so have no page and no policy: what it cannot decode is no page of ours.
    rewriteUrl: ({ url = '/' }) => (isDecodable(url) ? url : undecodablePath),
  });
  measureRequests(app, 'web', parts.metrics);
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
    // The console stands behind whatever ends TLS for it; that one knows whether to promise HTTPS for ever.
    strictTransportSecurity: false,
  });
  await app.register(cookie);
  refuseCrossSiteChanges(app, parts);
  guardSessions(app, parts);
  await app.register(registerAssets);
  acceptForms(app);
  answerWithPages(app, parts);
  app.get('/healthz', { config: { access: 'public' } }, () => ({ status: 'ok' }));
  registerPortal(app, parts);
  registerOperator(app, parts);
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

/** Forms are in UTF-8, as the pages are: a browser sends no other, and of another charset the fields would be nonsense. */
function acceptForms(app: FastifyInstance): void {
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'buffer' },
    (request, given, finish) => {
      const body = given as Buffer;
      const named = [...(request.headers['content-type'] ?? '').matchAll(/;\s*charset\s*=\s*"?([^";\s]*)/gi)];
      if (named.some(([, charset = '']) => !/^(utf-8|us-ascii)$/i.test(charset))) {
        finish(new BodyError(415, 'A form is sent in UTF-8.'));
      } else if (!isUtf8(body)) {
        finish(new BodyError(400, 'The form is not UTF-8.'));
      } else {
        finish(null, new URLSearchParams(body.toString('utf8')));
      }
    },
  );
}

/** The session cookies do not travel from other sites either (SameSite). */
function refuseCrossSiteChanges(app: FastifyInstance, { publicUrl }: ConsoleParts): void {
  app.addHook('onRequest', (request, reply, next) => {
    if (!isCrossSiteChange(request, publicUrl())) {
      next();
      return;
    }
    void reply
      .code(403)
      .type('text/html')
      .send(plainPage('Not from here', 'This form was sent by another site, so nothing was done.'));
  });
}

function guardSessions(app: FastifyInstance, parts: ConsoleParts): void {
  app.decorateRequest('visitor', null);
  app.decorateRequest('operator', null);
  guardRoutes(app, {
    listener: 'console',
    openRoutes,
    guards: {
      'portal-session': (request, reply) => requireVisitor(parts, request, reply),
      'operator-session': (request, reply) => requireOperator(parts, request, reply),
    },
  });
}

/** What pages load: nothing of it is about a tenant. */
async function registerAssets(scope: FastifyInstance): Promise<void> {
  declareAccess(scope, 'public');
  await scope.register(serveStatic, { root: assetsFolder, prefix: '/assets/', maxAge: 60_000 });
  await scope.register(serveStatic, {
    root: dirname(fileURLToPath(import.meta.resolve('uplot/dist/uPlot.esm.js'))),
    prefix: '/vendor/uplot/',
    decorateReply: false,
    maxAge: 3_600_000,
    allowedPath: (path) => /^\/?uPlot\.(esm\.js|min\.css)$/.test(path),
  });
}

function answerWithPages(app: FastifyInstance, { logger, metrics }: ConsoleParts): void {
  app.setNotFoundHandler((_request, reply) =>
    reply
      .code(404)
      .type('text/html')
      .send(plainPage('No such page', 'The address may be mistyped or out of date.')),
  );
  app.setErrorHandler((error, request, reply) => {
    const store = storeOf(error);
    const status = store === null ? ((error as { statusCode?: number }).statusCode ?? 500) : 503;
    if (store !== null) metrics.failedReads.inc({ store });
    logger[status < 500 ? 'info' : 'error']({ err: error, url: request.url.split('?')[0] }, messageOf(error));
    const body =
      status < 500
        ? emptyState('That did not work', messageOf(error))
        : html`<div class="card">${failedState('This page')}</div>`;
    return reply
      .code(status)
      .type('text/html')
      .send(page({ title: 'Something is wrong', area: 'portal', nav: [], here: '', who: null, body }));
  });
}

function plainPage(title: string, text: string): string {
  const body = html`<div class="card narrow">
    ${emptyState(title, text)}
    <p><a href="/">Go to the start</a></p>
  </div>`;
  return page({ title, area: 'portal', nav: [], here: '', who: null, body });
}
