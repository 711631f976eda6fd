import type { FastifyInstance } from 'fastify';
import { sendSeries, sendSnapshot } from '../components/data.ts';
import { readSnapshot } from '../components/snapshot.ts';
import type { SnapshotSources } from '../components/snapshot.ts';

/** Data that the scripts of a tenant's page fetch. Below `/operator`, where browsers send the operator's cookie. */
export function registerTenantData(app: FastifyInstance, sources: SnapshotSources): void {
  app.get<{ Params: { id: string } }>('/operator/data/tenants/:id', async (request, reply) =>
    sendSnapshot(reply, await readSnapshot(sources, request.params.id)),
  );

  app.get<{ Params: { id: string }; Querystring: { span?: string } }>(
    '/operator/data/tenants/:id/series',
    (request, reply) => sendSeries(reply, sources, request.params.id, request.query.span),
  );
}
