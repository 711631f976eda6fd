import { fastifyPlugin } from 'fastify-plugin';
import type { FastifyPluginAsync } from 'fastify';
import type { GuardedRequest } from '../../services/gateway/entrypoints/guarded-request.ts';
import { tollgate as decisions } from '../../services/gateway/entrypoints/plugin.ts';
import { openInProcess } from '../../services/gateway/in-process.ts';
import type { InProcessOptions } from '../../services/gateway/in-process.ts';

export type { TollgateRouteOptions } from '../../services/gateway/entrypoints/plugin.ts';
export type { KafkaServers } from '../../services/gateway/in-process.ts';

export type TollgateOptions = InProcessOptions;

/** What Tollgate decided about a request: `request.tollgate?.verdict`. */
export type { GuardedRequest };

declare module 'fastify' {
  interface FastifyInstance {
    /** Tollgate of this server. */
    tollgate: {
      /** The metrics of Tollgate, in the text format of Prometheus. */
      metrics(): Promise<string>;
    };
  }
}

const register: FastifyPluginAsync<TollgateOptions> = async (app, options) => {
  const { enforcer, registry, close } = await openInProcess({ env: process.env, ...options });
  app.addHook('onClose', close);
  app.decorate('tollgate', { metrics: () => registry.metrics() });
  await app.register(decisions, { enforcer, redisOnly: options.onFailure === 'closed' });
};

/**
 * Applies Tollgate to every route of a Fastify server. Register it first and at the root:
 * `await app.register(tollgate, { policy, redis, kafka, spoolDirectory })`. It is closed by `app.close()`.
 */
export const tollgate = fastifyPlugin(register, { fastify: '5.x', name: '@tollgate/fastify' });
