import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { sendProblem } from './answer.ts';

/** Guard of the admin API. Sends the 401 and answers it, or undefined where the token is right. */
export function requireToken(
  adminToken: string,
  { headers }: FastifyRequest,
  reply: FastifyReply,
): FastifyReply | undefined {
  if (sameSecret(bearerOf(headers.authorization), adminToken)) return undefined;
  return sendProblem(
    reply.header('www-authenticate', 'Bearer realm="tollgate admin"'),
    401,
    'Not signed in',
    'Send the admin token as “Authorization: Bearer …”.',
  );
}

/** Longer texts are no secret of anybody, and are not hashed. */
export const secretLengthMax = 4_096;

/**
 * Compares a presented secret with the expected one in constant time. Both are hashed first, so that neither the
 * length nor a common prefix shows in how long it takes.
 */
export function sameSecret(presented: string, expected: string): boolean {
  if (presented.length > secretLengthMax) return false;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return expected !== '' && timingSafeEqual(digest(presented), digest(expected));
}

/** The token of `Authorization: Bearer …`, or an empty string. */
export function bearerOf(authorization: string | undefined): string {
  return /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? '';
}

/** Who is acting, for the trail: what the caller says of itself in `X-Actor`; the token alone does not tell. */
export function actorOf(header: string | string[] | undefined): string {
  const name = typeof header === 'string' ? header.trim() : '';
  return /^[\x20-\x7e]{1,100}$/.test(name) ? name : 'admin';
}
