import { topicsWith } from '../../../shared/kafka/topics.ts';
import type { FastifyInstance } from 'fastify';
import { Registry } from 'prom-client';
import { createAdminApp } from '../../../services/admin/app.ts';
import type { AdminOptions } from '../../../services/admin/app.ts';
import { createConsoleApp } from '../../../services/console/app.ts';
import type { ConsoleOptions } from '../../../services/console/app.ts';
import { defaultBrand } from '../../../services/console/browser/brand.ts';
import { createGatewayMetrics } from '../../../services/gateway/metrics.ts';
import { createApiServer } from '../../../services/gateway/listeners/api-listener.ts';
import type { ApiOptions } from '../../../services/gateway/entrypoints/api/api-server.ts';
import { createProxyServer } from '../../../services/gateway/listeners/proxy-listener.ts';
import { boundsDefault } from '../../../services/gateway/transport/bounds.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { createOpsServer } from '../../../shared/runtime/http/ops.ts';

/** Routes need only these options before their first request. */
const consoleOptions = {
  clock: systemClock,
  registry: new Registry(),
  brand: defaultBrand,
} as unknown as ConsoleOptions;
const adminOptions = { registry: new Registry() } as unknown as AdminOptions;
const enforcer = { clock: systemClock, metrics: createGatewayMetrics(new Registry()) };
const options = { enforcer, bounds: boundsDefault, topics: topicsWith('tollgate.') } as unknown as ApiOptions;
const proxy = { ...options, bodyBytesMax: 1, upstreamTimeoutMs: 1, upstreamCredential: null };

/** Every listener with all its routes, for tests that send no request. */
export const listeners: Readonly<
  Record<string, () => Promise<Pick<FastifyInstance, 'ready' | 'close' | 'routeAccess'>>>
> = {
  gateway: () => Promise.resolve(createProxyServer(proxy)),
  api: () => createApiServer(options),
  admin: () => createAdminApp(adminOptions),
  console: () => createConsoleApp(consoleOptions),
  ops: () => Promise.resolve(createOpsServer({ registry: new Registry(), unready: () => [] })),
};
