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

/** The listener of the reverse proxy: decides about every request and forwards it. */
export function createProxyServer(options: ProxyOptions): FastifyInstance {
  const app = fastify({
    ...serverOptions(options.enforcer, 'proxy', options.bounds, true),
    // One route serves every path: whether a path exists is decided by the upstream, not by the router.
    rewriteUrl: () => '/',
    exposeHeadRoutes: false,
  });
  // Bodies are forwarded as streams: for methods without a body Fastify reads and checks none.
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
    // `createListener` handles client errors.
    clientErrorHandler: () => undefined,
  };
}
