import type { FastifyReply, FastifyRequest } from 'fastify';
import { sendProblem } from '../../shared/runtime/http/problem.ts';
import { isSameSecret } from '../../shared/sessions/secrets.ts';

/** Guard of the admin API. Returns undefined where the token is right; else sends the 401 and returns it. */
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

/** The token of `Authorization: Bearer …`, or an empty string. */
export function bearerOf(authorization: string | undefined): string {
  return /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? '';
}

/** The actor for the audit trail: the name that the caller sends in `X-Actor`, since all callers have the same token. */
export function actorOf({ headers }: Pick<FastifyRequest, 'headers'>): string {
  const header = headers['x-actor'];
  const name = typeof header === 'string' ? header.trim() : '';
  return /^[\x20-\x7e]{1,100}$/.test(name) ? name : 'admin';
}
