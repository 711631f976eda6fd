import type { FastifyInstance } from 'fastify';
import { sendSeries, sendSnapshot } from '../components/data.ts';
import { readSnapshot } from '../components/snapshot.ts';
import type { UsageSources } from './usage-page.ts';
import { guardedVisitor } from './visitor.ts';

/** Data that the scripts of the pages fetch, for the tenant of the session. */
export function registerData(app: FastifyInstance, sources: UsageSources): void {
  app.get('/data/usage', async (request, reply) => {
    const { tenantId, usage } = guardedVisitor(request);
    return sendSnapshot(reply, await readSnapshot({ ...sources, usage }, tenantId));
  });

  app.get<{ Querystring: { span?: string } }>('/data/series', (request, reply) => {
    const { tenantId, usage } = guardedVisitor(request);
    return sendSeries(reply, { ...sources, usage }, tenantId, request.query.span);
  });
}
