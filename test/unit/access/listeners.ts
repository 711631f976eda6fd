import type { FastifyInstance } from 'fastify';
import { Registry } from 'prom-client';
import { createAdminApp } from '../../../services/console/admin/app.ts';
import type { ConsoleParts } from '../../../services/console/console.ts';
import { createWebApp } from '../../../services/console/web-app.ts';
import { createApiServer } from '../../../services/gateway/listeners/api-listener.ts';
import type { ApiOptions } from '../../../services/gateway/entrypoints/api/api-server.ts';
import { createProxyServer } from '../../../services/gateway/listeners/proxy-listener.ts';
import { boundsDefault } from '../../../services/gateway/transport/bounds.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { createOpsServer } from '../../../shared/runtime/http/ops.ts';

/** Parts that no route needs before its first request. */
const parts = { clock: systemClock, registry: new Registry(), metrics: {} } as unknown as ConsoleParts;
const enforcer = { clock: systemClock, metrics: {} };
const options = { enforcer, bounds: boundsDefault } as unknown as ApiOptions;
const proxy = { ...options, bodyBytesMax: 1, upstreamTimeoutMs: 1 };

/** Every listener with all its routes, for what can be said of them before they answer. */
export const listeners: Readonly<
  Record<string, () => Promise<Pick<FastifyInstance, 'ready' | 'close' | 'routeAccess'>>>
> = {
  gateway: () => Promise.resolve(createProxyServer(proxy)),
  api: () => createApiServer(options),
  admin: () => createAdminApp(parts),
  console: () => createWebApp(parts),
  ops: () => Promise.resolve(createOpsServer({ registry: new Registry(), unready: () => [] })),
};
