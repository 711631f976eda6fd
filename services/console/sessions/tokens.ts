import { createHmac } from 'node:crypto';
import { SignJWT, errors, jwtVerify } from 'jose';
import type { Clock } from '../../../shared/runtime/clock.ts';

/**
 * What the console signs: links that open the portal for one tenant, and the cookies that keep a browser signed in.
 * Each kind has a key of its own, derived from the portal secret, so that a link can never pass as a session, nor a
 * tenant's session as an operator's. The operator's key also depends on the admin token: a new token signs all out.
 */
export type Reading =
  | { readonly kind: 'valid'; readonly subject: string; readonly via: string; readonly expiresAtMs: number }
  | { readonly kind: 'expired' }
  | { readonly kind: 'invalid' };

export interface Tokens {
  signLink(tenantId: string, ttlMs: number): Promise<string>;
  readLink(token: string): Promise<Reading>;
  /** `via` says how the visitor signed in, e.g. `link`. */
  signTenant(tenantId: string, via: string, ttlMs: number): Promise<string>;
  readTenant(token: string): Promise<Reading>;
  signOperator(name: string, ttlMs: number): Promise<string>;
  readOperator(token: string): Promise<Reading>;
}

export function createTokens(portalSecret: string, adminToken: string, clock: Clock): Tokens {
  const key = (purpose: string): Uint8Array => createHmac('sha256', portalSecret).update(purpose).digest();
  const link = key('tollgate portal link');
  const tenant = key('tollgate portal session');
  const operator = key(`tollgate operator session ${adminToken}`);

  return {
    signLink: (tenantId, ttlMs) => sign(link, tenantId, 'link', ttlMs),
    readLink: (token) => read(link, token),
    signTenant: (tenantId, via, ttlMs) => sign(tenant, tenantId, via, ttlMs),
    readTenant: (token) => read(tenant, token),
    signOperator: (name, ttlMs) => sign(operator, name, 'token', ttlMs),
    readOperator: (token) => read(operator, token),
  };

  function sign(secret: Uint8Array, subject: string, via: string, ttlMs: number): Promise<string> {
    const seconds = Math.floor(clock.now() / 1000);
    return new SignJWT({ via })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(subject)
      .setIssuedAt(seconds)
      .setExpirationTime(seconds + Math.round(ttlMs / 1000))
      .sign(secret);
  }

  async function read(secret: Uint8Array, token: string): Promise<Reading> {
    try {
      const { payload } = await jwtVerify(token, secret, {
        algorithms: ['HS256'],
        currentDate: new Date(clock.now()),
        requiredClaims: ['sub', 'exp'],
      });
      const via = typeof payload['via'] === 'string' ? payload['via'] : '';
      return { kind: 'valid', subject: payload.sub ?? '', via, expiresAtMs: (payload.exp ?? 0) * 1000 };
    } catch (error) {
      return { kind: error instanceof errors.JWTExpired ? 'expired' : 'invalid' };
    }
  }
}
