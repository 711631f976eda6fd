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

/** Creates the listener of the reverse proxy, which decides about every request and forwards it. */
export function createProxyServer(options: ProxyOptions): FastifyInstance {
  const app = fastify({
    ...serverOptions(options.enforcer, 'proxy', options.bounds, true),
    // One route serves every path, because only the upstream decides whether a path exists.
    rewriteUrl: () => '/',
    exposeHeadRoutes: false,
  });
  // Bodies are forwarded as streams, so Fastify must not read them: all methods are registered as methods
  // without a body.
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
    // `createListener` responds to client errors, so Fastify has nothing to do.
    clientErrorHandler: () => undefined,
  };
}
