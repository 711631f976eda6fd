import type { RequestSpan, TraceHeaders, Tracing } from '../tracing/tracing.ts';

interface TracedRequest {
  readonly method: string;
  readonly headers: TraceHeaders;
  readonly routeOptions: { readonly url?: string | undefined };
}

interface Hookable {
  addHook(name: 'onRequest', hook: (request: TracedRequest) => Promise<void>): unknown;
  addHook(
    name: 'onResponse',
    hook: (request: TracedRequest, reply: { statusCode: number }) => Promise<void>,
  ): unknown;
}

/**
 * Writes a span for every request of a listener, for the admin API and the console. A span states the pattern of the
 * route and not the path, because paths and queries of these listeners contain ids and tokens of sign-in links.
 */
export function traceRequests(app: Hookable, tracing: Tracing | null): void {
  if (tracing === null) return;
  const spans = new WeakMap<TracedRequest, RequestSpan>();
  app.addHook('onRequest', (request) => {
    spans.set(request, tracing.startRequest(request.headers));
    return Promise.resolve();
  });
  app.addHook('onResponse', (request, { statusCode }) => {
    const { method, routeOptions } = request;
    const { url: route } = routeOptions;
    const span = spans.get(request);
    span?.describe(route === undefined ? method : `${method} ${route}`, {
      'http.request.method': method,
      ...(route === undefined ? {} : { 'http.route': route }),
    });
    span?.end(statusCode);
    return Promise.resolve();
  });
}
