import type { ConsoleMetrics } from './metrics.ts';

interface Hookable {
  addHook(
    name: 'onResponse',
    hook: (request: unknown, reply: { statusCode: number; elapsedTime: number }) => Promise<void>,
  ): unknown;
}

export function measureRequests(
  app: Hookable,
  listener: 'admin' | 'web',
  { requests, seconds }: ConsoleMetrics,
): void {
  app.addHook('onResponse', (_request, reply) => {
    requests.inc({ listener, status: `${String(Math.floor(reply.statusCode / 100))}xx` });
    seconds.observe({ listener }, reply.elapsedTime / 1000);
    return Promise.resolve();
  });
}
