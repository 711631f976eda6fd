import type { FastifyInstance, FastifyReply } from 'fastify';
import { withJsonCost } from '../../../shared/domain/money.ts';
import type { ConsoleParts } from '../console.ts';
import { jsonSnapshot, snapshotOf } from '../portal/snapshot.ts';
import { problem } from '../problem.ts';
import { readOrNull } from '../read-or-null.ts';

/** What the scripts of a tenant's page fetch. Below `/operator`, where the operator's cookie is sent. */
export function registerTenantData(app: FastifyInstance, parts: ConsoleParts): void {
  app.get<{ Params: { id: string } }>('/operator/data/tenants/:id', async (request, reply) => {
    return reply
      .header('cache-control', 'no-store')
      .send(jsonSnapshot(await snapshotOf(parts, request.params.id)));
  });

  app.get<{ Params: { id: string }; Querystring: { span?: string } }>(
    '/operator/data/tenants/:id/series',
    async (request, reply) => {
      const span = request.query.span === '30d' ? '30d' : '24h';
      const points = await readOrNull(parts, parts.usage.series(request.params.id, span, parts.clock.now()));
      if (points === null) return refuse(reply, 503, 'No history now', 'ClickHouse does not answer.');
      return reply.header('cache-control', 'no-store').send({ span, points: points.map(withJsonCost) });
    },
  );
}

function refuse(reply: FastifyReply, status: number, title: string, detail: string): FastifyReply {
  return reply
    .code(status)
    .type('application/problem+json')
    .send(problem(status, title, detail));
}
