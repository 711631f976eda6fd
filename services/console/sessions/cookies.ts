import type { FastifyReply, FastifyRequest } from 'fastify';
import { TollgateError } from '../../../shared/runtime/errors.ts';
import type { Signed } from '../../../shared/sessions/claims.ts';
import type { SignedToken } from '../../../shared/sessions/tokens.ts';

export type CookieName = 'tollgate_portal' | 'tollgate_operator';

/**
 * Sets a session cookie. Scripts cannot read it, and browsers do not send it with requests from other sites. The
 * tenant's cookie is `Lax`, so that a portal link in an e-mail can open the portal; the operator's cookie is
 * `Strict`.
 */
export function setSession(
  reply: FastifyReply,
  name: CookieName,
  { token, value: { startedAtMs, expiresAtMs } }: SignedToken<Signed>,
  publicUrl: string,
): void {
  void reply.setCookie(name, token, {
    path: name === 'tollgate_operator' ? '/operator' : '/',
    httpOnly: true,
    sameSite: name === 'tollgate_operator' ? 'strict' : 'lax',
    secure: publicUrl.startsWith('https:'),
    maxAge: Math.ceil((expiresAtMs - startedAtMs) / 1000),
  });
}

export function clearSession(reply: FastifyReply, name: CookieName): void {
  void reply.clearCookie(name, { path: name === 'tollgate_operator' ? '/operator' : '/' });
}

/** The session token in the cookie; an empty text if there is none. */
export function sessionToken(request: FastifyRequest, name: CookieName): string {
  return request.cookies[name] ?? '';
}

/**
 * Error for a session that may have ended. No session is accepted before the ended sessions have been read from
 * Kafka.
 */
export function sessionsUnread(): TollgateError {
  return new TollgateError(
    'KAFKA_UNAVAILABLE',
    'which sessions have ended is not known until Kafka was read once',
  );
}
