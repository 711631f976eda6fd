import type { FastifyReply } from 'fastify';
import { problemMedia } from './problem-schema.ts';
import type { Violation } from './schema-violations.ts';

/** Body of an error response (RFC 9457). Its schema is `problemSchema`. */
interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** Every violation of the schema by the request's body, with the field. */
  readonly errors?: readonly { readonly field: string; readonly detail: string }[];
}

/** Sends a problem without a type of its own. `detail` is a sentence that states what the client must do. */
export function sendProblem(
  reply: FastifyReply,
  status: number,
  title: string,
  detail: string,
  violations: readonly Violation[] = [],
): FastifyReply {
  const errors = violations.map(({ field, reason }) => ({ field, detail: reason }));
  const problem: Problem = {
    type: 'about:blank',
    title,
    status,
    detail,
    ...(errors.length === 0 ? {} : { errors }),
  };
  return reply.code(status).type(problemMedia).send(problem);
}
