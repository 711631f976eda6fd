import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, RawServerDefault } from 'fastify';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { problem } from '../problem.ts';
import type { Outcome } from '../problem.ts';
import type { Fault } from '../../../shared/runtime/http/schema-faults.ts';

export type AdminApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The body is a record or a part of one: where it breaks its contract the answer is 422, with each fault's field. */
    document?: boolean;
  }
}

/** `config` of routes whose body is such a document. */
export const asDocument = { access: 'admin', document: true } as const;

export function sendProblem(
  reply: FastifyReply,
  status: number,
  title: string,
  detail: string,
  faults: readonly Fault[] = [],
): FastifyReply {
  return reply
    .code(status)
    .type('application/problem+json')
    .send(problem(status, title, detail, faults));
}

/** The value, or the refusal as problem+json. */
export function sendOutcome<Value>(reply: FastifyReply, outcome: Outcome<Value>): FastifyReply {
  return outcome.ok
    ? reply.send(outcome.value)
    : sendProblem(reply, outcome.status, outcome.title, outcome.detail, outcome.faults);
}
