import type { FastifyReply, FastifyRequest } from 'fastify';
import { sendProblem } from '../../shared/runtime/http/problem.ts';
import { isSameSecret } from '../../shared/sessions/secrets.ts';

/** Guard of the admin API. Returns undefined if the token is valid. Otherwise sends a 401 and returns the reply. */
export function requireToken(
  adminToken: string,
  { headers }: FastifyRequest,
  reply: FastifyReply,
): FastifyReply | undefined {
  if (isSameSecret(bearerOf(headers.authorization), adminToken)) return undefined;
  return sendProblem(
    reply.header('www-authenticate', 'Bearer realm="tollgate admin"'),
    401,
    'Not signed in',
    'Send the admin token as “Authorization: Bearer …”.',
  );
}

/** The token in `Authorization: Bearer …`; an empty text if there is none. */
export function bearerOf(authorization: string | undefined): string {
  return /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? '';
}

/**
 * The actor for the audit trail: the name that the client sends in `X-Actor`. The token cannot identify it, because
 * all clients use the same token.
 */
export function actorOf({ headers }: Pick<FastifyRequest, 'headers'>): string {
  const header = headers['x-actor'];
  const name = typeof header === 'string' ? header.trim() : '';
  return /^[\x20-\x7e]{1,100}$/.test(name) ? name : 'admin';
}
