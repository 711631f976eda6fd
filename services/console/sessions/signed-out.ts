import type { FastifyReply } from 'fastify';
import { TollgateError } from '../../../shared/runtime/errors.ts';
import { problem } from '../problem.ts';

/** What scripts get in place of the data they fetch. */
export function sendSignedOut(reply: FastifyReply): FastifyReply {
  return reply
    .code(401)
    .type('application/problem+json')
    .send(problem(401, 'Signed out', 'Sign in again to go on.'));
}

/** Of a session that may have been ended: it opens nothing until that is known. */
export function sessionsUnread(): TollgateError {
  return new TollgateError(
    'KAFKA_UNAVAILABLE',
    'which sessions have ended is not known until Kafka was read once',
  );
}
