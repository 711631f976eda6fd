import type { FastifyReply } from 'fastify';
import { problem } from '../problem.ts';

/** What scripts get in place of the data they fetch. */
export function sendSignedOut(reply: FastifyReply): FastifyReply {
  return reply
    .code(401)
    .type('application/problem+json')
    .send(problem(401, 'Signed out', 'Sign in again to go on.'));
}
