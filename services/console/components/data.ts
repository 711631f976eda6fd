import type { FastifyReply } from 'fastify';
import { withJsonCost } from '../../../shared/domain/money.ts';
import { sendProblem } from '../../../shared/runtime/http/problem.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { UsageReader } from '../../../shared/tenants/usage-reader.ts';
import type { Snapshot } from './snapshot.ts';

/**
 * Responses to requests of the pages' scripts. Money is converted to JSON first, because `JSON.stringify` throws for
 * a bigint.
 */

export function sendSnapshot(reply: FastifyReply, snapshot: Snapshot): FastifyReply {
  const today = snapshot.today === null ? null : withJsonCost(snapshot.today);
  return reply.header('cache-control', 'no-store').send({ ...snapshot, today });
}

export interface SeriesSources {
  readonly usage: Pick<UsageReader, 'series'>;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

/** The data points of a tenant's graph. */
export async function sendSeries(
  reply: FastifyReply,
  { usage, reads, clock }: SeriesSources,
  tenantId: string,
  wantedSpan: string | undefined,
): Promise<FastifyReply> {
  const span = wantedSpan === '30d' ? '30d' : '24h';
  const points = await reads.orNull(usage.series(tenantId, span, clock.now()));
  void reply.header('cache-control', 'no-store');
  if (points === null) return sendProblem(reply, 503, 'No history now', 'ClickHouse does not answer.');
  return reply.send({ span, points: points.map(withJsonCost) });
}
