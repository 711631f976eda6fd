import { METHODS } from 'node:http';
import type { Server } from 'node:http';
import { fastify } from 'fastify';
import type { FastifyInstance, FastifyHttpOptions } from 'fastify';
import { guardRoutes } from '../../shared/runtime/access.ts';
import type { Gate } from './gate.ts';
import { answerClientError } from './client-error.ts';
import { registerProxy } from './doors/proxy.ts';
import type { ProxyOptions } from './doors/proxy.ts';

const headerBytesMax = 16_384;
/** Until a client has sent its headers; bodies have no bound of their own but their size and the upstream's patience. */
const headersTimeoutMs = 20_000;
const keepAliveTimeoutMs = 72_000;

/** The listener that checks every path and passes it on. */
export function createProxyServer(options: ProxyOptions): FastifyInstance {
  const app = fastify({
    ...serverOptions(options.gate, 'proxy'),
    // One route serves everything: the router would only lose what it cannot read, and the upstream decides that.
    rewriteUrl: () => '/',
    exposeHeadRoutes: false,
  });
  for (const method of METHODS) {
    if (method !== 'CONNECT') app.addHttpMethod(method, { hasBody: true, overrideExisting: true });
  }
  guardRoutes(app, { listener: 'gateway', openRoutes: ['* /*'], guards: {} });
  registerProxy(app, options);
  return app;
}

export function serverOptions(gate: Gate, door: string): FastifyHttpOptions<Server> {
  return {
    http: { maxHeaderSize: headerBytesMax, headersTimeout: headersTimeoutMs, requestTimeout: 0 },
    keepAliveTimeout: keepAliveTimeoutMs,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    clientErrorHandler: (error, socket) => answerClientError(gate, door, error, socket),
  };
}
