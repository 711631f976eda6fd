import { Counter, Histogram } from 'prom-client';
import { startAtZero } from '../zero-counters.ts';
import type { Registry } from './ops.ts';

interface Hookable {
  addHook(
    name: 'onResponse',
    hook: (request: unknown, reply: { statusCode: number; elapsedTime: number }) => Promise<void>,
  ): unknown;
}

/**
 * Counts every request of a listener and measures its duration. For the admin API and the console: the decision path
 * has its own metrics.
 */
export function measureRequests(app: Hookable, listener: 'admin' | 'console', registry: Registry): void {
  const registers = [registry];
  const requests = new Counter({
    name: 'tollgate_listener_requests_total',
    help: 'Requests that the admin API or the console answered, by listener and class of status.',
    labelNames: ['listener', 'status'],
    registers,
  });
  startAtZero(requests, { listener: [listener], status: ['2xx', '3xx', '4xx', '5xx'] });
  const seconds = new Histogram({
    name: 'tollgate_listener_request_seconds',
    help: 'Time that the admin API or the console took to answer a request, by listener.',
    labelNames: ['listener'],
    buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers,
  });
  app.addHook('onResponse', (_request, reply) => {
    requests.inc({ listener, status: `${String(Math.floor(reply.statusCode / 100))}xx` });
    seconds.observe({ listener }, reply.elapsedTime / 1000);
    return Promise.resolve();
  });
}
