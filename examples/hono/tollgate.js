import { TollgateClient } from '@tollgate/client';

/** Middleware for Hono: sends a check to Tollgate before each request, and reports the outcome afterwards. */
export function tollgate(options) {
  const client = new TollgateClient({ onError: (error) => console.error(error.message), ...options });
  return async (context, next) => {
    const startedAt = performance.now();
    const decision = await client.check({
      tenant_id: options.tenantOf(context),
      method: context.req.method,
      path: context.req.path,
    });
    for (const [name, value] of Object.entries(decision.headers)) context.header(name, value);
    if (!decision.allowed) {
      const { problem } = decision;
      return context.body(JSON.stringify(problem), problem.status, {
        'content-type': 'application/problem+json',
      });
    }
    await next();
    if (!decision.decided) return;
    const outcome = {
      decision_id: decision.decision_id,
      status: context.res.status,
      latency_ms: performance.now() - startedAt,
    };
    client.reportOutcomes([outcome]).catch((error) => console.error(error.message));
  };
}
