import type { FastifyReply, FastifyRequest } from 'fastify';
import { hasRole } from '../../shared/domain/operators/operator.ts';
import type { Operator, Role } from '../../shared/domain/operators/operator.ts';
import type { Author } from '../../shared/domain/topics/audit-entry.ts';
import { sendProblem } from '../../shared/runtime/http/problem.ts';
import { operatorOf } from '../../shared/sessions/operators.ts';
import type { Operators } from '../../shared/sessions/operators.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The authenticated operator. The guard of the admin API sets it. */
    operator: Operator | null;
    /**
     * Returns the actor for a name that the body states. Null: the token identifies its operator, so that a stated name
     * does not count. The guard of the admin API sets it.
     */
    actorNamed: ((name: string) => string) | null;
  }
}

/**
 * Guard of the admin API. Returns undefined if the token is valid and its operator has the needed role. Otherwise sends
 * a 401 or a 403 and returns the reply.
 */
export function requireToken(
  operators: Operators,
  needed: Role,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply | undefined {
  const holder = operators.byToken(bearerOf(request.headers.authorization));
  if (holder === null)
    return sendProblem(
      reply.header('www-authenticate', 'Bearer realm="tollgate admin"'),
      401,
      'Not signed in',
      'Send your token, or the admin token, as “Authorization: Bearer …”.',
    );
  const operator = operatorOf(operators, holder, statedActor(request));
  request.operator = operator;
  request.actorNamed = holder.name === null ? (name) => operators.actorNamed(name) : null;
  if (hasRole(operator.role, needed)) return undefined;
  return sendProblem(
    reply,
    403,
    'Your role does not allow this',
    `${operator.name} has the role ${operator.role}; this needs the role ${needed}.`,
  );
}

/** The token in `Authorization: Bearer …`; an empty text if there is none. */
export function bearerOf(authorization: string | undefined): string {
  return /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? '';
}

/**
 * The actor for the audit trail: the operator whom the token identifies. The shared admin token identifies no person,
 * so its holder may state a name in `X-Actor`, and of a boost also in the body (`stated`).
 */
export function actorOf(
  { operator, actorNamed }: Pick<FastifyRequest, 'operator' | 'actorNamed'>,
  stated?: string,
): string {
  if (operator === null) throw new Error('a route of the admin API was reached without its guard');
  return stated === undefined || actorNamed === null ? operator.name : actorNamed(stated);
}

/** The actor, and whether the request came from the command line. The client states that in `User-Agent`. */
export function authorOf(request: Pick<FastifyRequest, 'operator' | 'actorNamed' | 'headers'>): Author {
  const isCli = /^tollgate-cli\b/.test(request.headers['user-agent'] ?? '');
  return { actor: actorOf(request), source: isCli ? 'cli' : 'admin-api' };
}

function statedActor({ headers }: FastifyRequest): string {
  const header = headers['x-actor'];
  return typeof header === 'string' ? header : '';
}
