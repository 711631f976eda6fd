import type { FastifyInstance } from 'fastify';
import { withJsonCost } from '../../../shared/domain/money.ts';
import type { ConsoleParts } from '../console.ts';
import { readOrNull } from '../read-or-null.ts';
import { problem } from '../problem.ts';
import { jsonSnapshot, snapshotOf } from './snapshot.ts';
import { guardedVisitor } from './visitor.ts';

/** What the pages' scripts fetch, for the tenant of the session. */
export function registerData(app: FastifyInstance, parts: ConsoleParts): void {
  app.get('/data/usage', async (request, reply) => {
    const visitor = guardedVisitor(request);
    return reply
      .header('cache-control', 'no-store')
      .send(jsonSnapshot(await snapshotOf({ ...parts, usage: visitor.usage }, visitor.tenantId)));
  });

  app.get<{ Querystring: { span?: string } }>('/data/series', async (request, reply) => {
    const visitor = guardedVisitor(request);
    const span = request.query.span === '30d' ? '30d' : '24h';
    const points = await readOrNull(parts, visitor.usage.series(visitor.tenantId, span, parts.clock.now()));
    void reply.header('cache-control', 'no-store');
    if (points === null)
      return reply
        .code(503)
        .type('application/problem+json')
        .send(problem(503, 'No history now', 'ClickHouse does not answer.'));
    return { span, points: points.map(withJsonCost) };
  });
}
