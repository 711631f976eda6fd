import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, RawServerDefault } from 'fastify';
import { sendProblem } from '../../shared/runtime/http/problem.ts';
import type { Outcome } from '../../shared/tenants/outcome.ts';

/**
 * The app of the admin listener. The types of parameters and bodies are derived from the schemas in `operations.ts`.
 */
export type AdminApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * True if the body is a tenant record or a part of one. A violation of its contract is then answered with 422 and
     * names the field.
     */
    document?: boolean;
  }
}

/** `config` of routes whose body is a tenant record or a part of one. */
export const asDocument = { access: 'admin', document: true } as const;

/** Sends the value of the outcome, or its rejection as a problem. */
export function sendOutcome<Value>(reply: FastifyReply, outcome: Outcome<Value>): FastifyReply {
  return outcome.ok
    ? reply.send(outcome.value)
    : sendProblem(reply, outcome.status, outcome.title, outcome.detail, outcome.violations);
}
