import type { FastifyReply } from 'fastify';
import { TollgateError, messageOf } from '../../../shared/runtime/errors.ts';
import { sendProblem } from '../listeners/caller.ts';
import { plainProblem } from '../responses/problem.ts';

/** Answers a failed read of ClickHouse: 429 where the caller's own queries are too many, 503 where it did not answer. */
export function refuseRead(reply: FastifyReply, error: unknown, what: string): FastifyReply {
  const full = error instanceof TollgateError && error.code === 'CLICKHOUSE_QUERIES_FULL';
  void reply.header('retry-after', '1');
  sendProblem(
    reply,
    full
      ? plainProblem(429, messageOf(error))
      : plainProblem(503, `${what} cannot be read now; try again: ${messageOf(error)}`),
  );
  return reply;
}
