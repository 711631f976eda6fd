import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, RawServerDefault } from 'fastify';
import { sendProblem } from '../../shared/runtime/http/problem.ts';
import type { Outcome } from '../../shared/tenants/outcome.ts';

/** The admin listener: types of parameters and bodies follow from the schemas of `operations.ts`. */
export type AdminApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The body is a record or a part of one: a violation of its contract is answered with 422 and names the field. */
    document?: boolean;
  }
}

/** `config` of routes with such a body. */
export const asDocument = { access: 'admin', document: true } as const;

/** Sends the value, or the rejection as a problem. */
export function sendOutcome<Value>(reply: FastifyReply, outcome: Outcome<Value>): FastifyReply {
  return outcome.ok
    ? reply.send(outcome.value)
    : sendProblem(reply, outcome.status, outcome.title, outcome.detail, outcome.violations);
}
