import { createHmac, randomUUID } from 'node:crypto';
import { SignJWT, jwtVerify } from 'jose';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { claimsOf, linkOf, operatorSessionOf, tenantSessionOf } from './signed.ts';
import type { Claims, Link, OperatorSession, SessionSource, Signed, TenantSession } from './signed.ts';

/** `expired`: it was valid once. Whatever else cannot be read is `invalid`. */
export type Reading<Value> =
  { readonly kind: 'valid'; readonly value: Value } | { readonly kind: 'expired' | 'invalid' };

/** A token with what it says. */
export interface Made<Value> {
  readonly token: string;
  readonly value: Value;
}

/**
 * What the console signs: links that open the portal for one tenant, and the cookies that keep a browser signed in.
 * Each kind has a key of its own, derived from the portal secret, so that a link can never pass as a session, nor a
 * tenant's session as an operator's. The operator's key also depends on the admin token: a new token signs all out.
 * A token that reads as valid here can still have been ended: `sessions.ts` asks that too.
 */
export interface Tokens {
  signLink(tenantId: string, ttlMs: number, sessionTtlMs: number): Promise<Made<Link>>;
  readLink(token: string): Promise<Reading<Link>>;
  signTenant(tenantId: string, source: SessionSource, ttlMs: number): Promise<Made<TenantSession>>;
  readTenant(token: string): Promise<Reading<TenantSession>>;
  signOperator(name: string, ttlMs: number): Promise<Made<OperatorSession>>;
  readOperator(token: string): Promise<Reading<OperatorSession>>;
}

export function createTokens(portalSecret: string, adminToken: string, clock: Clock): Tokens {
  const key = (purpose: string): Uint8Array => createHmac('sha256', portalSecret).update(purpose).digest();
  const link = kindOf(key('tollgate portal link'), linkOf, clock);
  const tenant = kindOf(key('tollgate portal session'), tenantSessionOf, clock);
  const operator = kindOf(key(`tollgate operator session ${adminToken}`), operatorSessionOf, clock);
  return {
    signLink: (tenantId, ttlMs, sessionTtlMs) => link.sign(tenantId, ttlMs, { session_ttl_ms: sessionTtlMs }),
    readLink: link.read,
    signTenant: (tenantId, source, ttlMs) => tenant.sign(tenantId, ttlMs, claimsOf(source)),
    readTenant: tenant.read,
    signOperator: (name, ttlMs) => operator.sign(name, ttlMs, {}),
    readOperator: operator.read,
  };
}

interface Kind<Value> {
  readonly sign: (subject: string, ttlMs: number, more: Claims) => Promise<Made<Value>>;
  readonly read: (token: string) => Promise<Reading<Value>>;
}

function kindOf<Value extends Signed>(
  secret: Uint8Array,
  valueOf: (claims: Claims) => Value | null,
  clock: Clock,
): Kind<Value> {
  return {
    async sign(subject, ttlMs, more) {
      const nowMs = clock.now();
      const claims = { ...more, jti: randomUUID(), sub: subject, start_ms: nowMs, end_ms: nowMs + ttlMs };
      const value = valueOf(claims);
      if (value === null) throw new Error('a token was to be signed that could not be read');
      return { token: await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(secret), value };
    },
    async read(token) {
      try {
        const { payload } = await jwtVerify(token, secret, { algorithms: ['HS256'] });
        const value = valueOf(payload);
        if (value === null) return { kind: 'invalid' };
        return clock.now() < value.expiresAtMs ? { kind: 'valid', value } : { kind: 'expired' };
      } catch {
        return { kind: 'invalid' };
      }
    },
  };
}
