import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Signed } from './signed.ts';
import type { Made } from './tokens.ts';

export type CookieName = 'tollgate_portal' | 'tollgate_operator';

/**
 * Out of reach of scripts, and not sent with what other sites start: Lax still lets a portal link in an e-mail open
 * the portal; the operator's is Strict.
 */
export function setSession(
  reply: FastifyReply,
  name: CookieName,
  { token, value: { startedAtMs, expiresAtMs } }: Made<Signed>,
  { publicUrl }: { readonly publicUrl: () => string },
): void {
  void reply.setCookie(name, token, {
    path: name === 'tollgate_operator' ? '/operator' : '/',
    httpOnly: true,
    sameSite: name === 'tollgate_operator' ? 'strict' : 'lax',
    secure: publicUrl().startsWith('https:'),
    maxAge: Math.ceil((expiresAtMs - startedAtMs) / 1000),
  });
}

export function clearSession(reply: FastifyReply, name: CookieName): void {
  void reply.clearCookie(name, { path: name === 'tollgate_operator' ? '/operator' : '/' });
}

export function sessionOf(request: FastifyRequest, name: CookieName): string {
  return request.cookies[name] ?? '';
}
