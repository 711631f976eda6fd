import { METHODS } from 'node:http';
import type { Server } from 'node:http';
import { fastify } from 'fastify';
import type { FastifyInstance, FastifyHttpOptions } from 'fastify';
import { guardRoutes } from '../../../shared/runtime/http/access.ts';
import type { Enforcer } from '../enforcer/enforcer.ts';
import { registerProxy } from '../entrypoints/proxy/proxy.ts';
import type { ProxyOptions } from '../entrypoints/proxy/proxy.ts';
import type { TransportBounds } from '../transport/bounds.ts';
import { createListener } from '../transport/listener.ts';

/** The listener that checks every path and passes it on. */
export function createProxyServer(options: ProxyOptions): FastifyInstance {
  const app = fastify({
    ...serverOptions(options.enforcer, 'proxy', options.bounds, true),
    // One route serves everything: the router would only lose what it cannot read, and the upstream decides that.
    rewriteUrl: () => '/',
    exposeHeadRoutes: false,
  });
  // Bodies are passed on as they come: without one in its eyes, Fastify reads and judges none of them.
  for (const method of METHODS) {
    if (method !== 'CONNECT') app.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  }
  guardRoutes(app, { listener: 'gateway', openRoutes: ['* /*'], guards: {} });
  registerProxy(app, options);
  return app;
}

export function serverOptions(
  enforcer: Enforcer,
  entrypoint: string,
  bounds: TransportBounds,
  upgrades = false,
): FastifyHttpOptions<Server> {
  return {
    serverFactory: (serve) => createListener(enforcer, entrypoint, bounds, serve, upgrades),
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    // `createListener` answers client errors.
    clientErrorHandler: () => undefined,
  };
}
