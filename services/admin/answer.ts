import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyReply,
  FastifySchema,
  RawServerDefault,
} from 'fastify';
import type { Role } from '../../shared/domain/operators/operator.ts';
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
  interface FastifySchema {
    /** Role that an operator needs for the operation. */
    role?: Role;
  }
  interface FastifyContextConfig {
    /**
     * True if the body is a tenant record or a part of one. A violation of its contract is then answered with 422 and
     * names the field.
     */
    document?: boolean;
  }
}

/** Schemas of operations by their name. Each operation declares the role that an operator needs. */
export type Operations = Readonly<Record<string, FastifySchema & { readonly role: Role }>>;

/** `config` of routes whose body is a tenant record or a part of one. */
export const asDocument = { document: true } as const;

/** Sends the value of the outcome, or its rejection as a problem. */
export function sendOutcome<Value>(reply: FastifyReply, outcome: Outcome<Value>): FastifyReply {
  return outcome.ok
    ? reply.send(outcome.value)
    : sendProblem(reply, outcome.status, outcome.title, outcome.detail, outcome.violations);
}

/**
 * Sets the access of the routes of the scope to the role that their operation declares. The server does not start with
 * an operation that declares none.
 */
export function declareRoles(scope: Pick<AdminApp, 'addHook'>): void {
  scope.addHook('onRoute', (route) => {
    const { role, ...schema } = route.schema ?? {};
    if (role === undefined) return;
    route.schema = schema;
    route.config = { access: `operator-token:${role}`, ...route.config };
  });
}
