import type { FastifyReply } from 'fastify';
import { problemMedia } from './problem-schema.ts';
import type { Violation } from './schema-violations.ts';

/** Body of an answer that is not a success (RFC 9457), as `problemSchema` describes it. */
interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** Each violation of the body's contract, with its field. */
  readonly errors?: readonly { readonly field: string; readonly detail: string }[];
}

/** Sends a problem that has no type of its own. `detail` is a sentence that says what to do. */
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
