import type { FastifyInstance } from 'fastify';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createAdminApp } from '../../../services/console/admin/app.ts';
import type { ConsoleParts } from '../../../services/console/console.ts';
import { createWebApp } from '../../../services/console/web-app.ts';
import { createApiServer } from '../../../services/gateway/api.ts';
import type { ApiOptions } from '../../../services/gateway/api-server.ts';
import { createProxyServer } from '../../../services/gateway/app.ts';
import { systemClock } from '../../../shared/runtime/clock.ts';

/** Parts that no route needs before its first request. */
const parts = { clock: systemClock, registry: new Registry(), metrics: {} } as unknown as ConsoleParts;
const options = { gate: { clock: systemClock } } as unknown as ApiOptions;
const proxy = { ...options, bodyBytesMax: 1, upstreamTimeoutMs: 1, idleTimeoutMs: 1 };

const listeners: Readonly<Record<string, () => FastifyInstance | Promise<unknown>>> = {
  gateway: () => createProxyServer(proxy),
  api: () => createApiServer(options),
  admin: () => createAdminApp(parts),
  console: () => createWebApp(parts),
};

test.each(Object.keys(listeners))(
  'each route of the %s listener says which credential opens it',
  async (name) => {
    const app = (await listeners[name]?.()) as FastifyInstance;
    await app.ready();
    expect(app.routeAccess.length).toBeGreaterThan(0);
    expect(app.routeAccess.filter(({ access }) => access === undefined)).toEqual([]);
    await app.close();
  },
);
