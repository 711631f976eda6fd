import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import packageFile from '../../../package.json' with { type: 'json' };
import { guardRoutes } from './access.ts';
import { listenOn } from './listen-address.ts';
import { refuseForeignHosts } from './loopback-host.ts';

export type { Registry } from 'prom-client';

export function createRegistry(service: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'tollgate_build_info',
    help: 'Always 1. The label has the version of Tollgate that the process runs.',
    labelNames: ['version'],
    registers: [registry],
  }).set({ version: packageFile.version }, 1);
  return registry;
}

export interface OpsOptions {
  readonly registry: Registry;
  /** Names of the dependencies that are not ready; empty when the service can do its work. */
  readonly unready: () => readonly string[];
  /**
   * Warnings for an operator, as text, about a defect with which the service can still work: for example a wrong clock.
   */
  readonly notes?: () => readonly string[];
}

/** The routes of `registerOps`. They are public, because probes and Prometheus send no credential. */
export const opsRoutes = ['GET /healthz', 'GET /readyz', 'GET /metrics'];

/**
 * Registers `/metrics`, `/healthz` (the process runs) and `/readyz` (the process can do its work), on a private
 * listener.
 */
export function registerOps(app: FastifyInstance, { registry, unready, notes = () => [] }: OpsOptions): void {
  const config = { access: 'public' } as const;
  app.get('/healthz', { config }, () => ({ status: 'ok' }));
  app.get('/readyz', { config }, (_request, reply) => {
    const missing = unready();
    const noted = notes();
    return reply.code(missing.length === 0 ? 200 : 503).send({
      ready: missing.length === 0,
      waiting_for: missing,
      ...(noted.length === 0 ? {} : { notes: noted }),
    });
  });
  app.get('/metrics', { config }, async (_request, reply) => {
    return reply.header('content-type', registry.contentType).send(await registry.metrics());
  });
}

export function createOpsServer(options: OpsOptions): FastifyInstance {
  const app = fastify();
  refuseForeignHosts(app);
  guardRoutes(app, { listener: 'ops', openRoutes: opsRoutes, guards: {} });
  registerOps(app, options);
  return app;
}

export async function listenOps(host: string, port: number, options: OpsOptions): Promise<FastifyInstance> {
  const app = createOpsServer(options);
  await listenOn(app, host, port);
  return app;
}
