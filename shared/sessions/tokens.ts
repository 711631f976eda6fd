import { createHmac, randomUUID } from 'node:crypto';
import { SignJWT, jwtVerify } from 'jose';
import type { Clock } from '../runtime/time/clock.ts';
import { claimsOf, linkOf, operatorSessionOf, tenantSessionOf } from './claims.ts';
import type { Claims, Link, OperatorSession, OperatorSource } from './claims.ts';
import type { SessionSource, Signed, TenantSession } from './claims.ts';

/**
 * Result of reading a token. `expired`: the token was valid, but its end has passed. `invalid`: the token is unusable
 * for any other reason.
 */
export type TokenReading<Value> =
  { readonly kind: 'valid'; readonly value: Value } | { readonly kind: 'expired' | 'invalid' };

/** A token and the value that it contains. */
export interface SignedToken<Value> {
  readonly token: string;
  readonly value: Value;
}

/** What the sessions of a link may do, and for how long. */
export type LinkOptions = Pick<Link, 'sessionTtlMs' | 'managesKeys'>;

/**
 * Signs and verifies tokens: of links that open the portal of one tenant, and of the cookies of sessions. Each kind
 * of token has its own key, derived from the portal secret. Therefore a link cannot be used as a session, and a
 * tenant's session cannot be used as an operator's. The key of operators also depends on the admin token, so a new
 * admin token signs all operators out. A token that these functions accept may have been ended early; `sessions.ts`
 * checks that.
 */
export interface Tokens {
  signLink(tenantId: string, ttlMs: number, options: LinkOptions): Promise<SignedToken<Link>>;
  readLink(token: string): Promise<TokenReading<Link>>;
  signTenant(tenantId: string, source: SessionSource, ttlMs: number): Promise<SignedToken<TenantSession>>;
  readTenant(token: string): Promise<TokenReading<TenantSession>>;
  signOperator(name: string, source: OperatorSource, ttlMs: number): Promise<SignedToken<OperatorSession>>;
  readOperator(token: string): Promise<TokenReading<OperatorSession>>;
}

export function createTokens(portalSecret: string, adminToken: string, clock: Clock): Tokens {
  const key = (purpose: string): Uint8Array => createHmac('sha256', portalSecret).update(purpose).digest();
  const link = createKind(key('tollgate portal link'), linkOf, clock);
  const tenant = createKind(key('tollgate portal session'), tenantSessionOf, clock);
  const operator = createKind(key(`tollgate operator session ${adminToken}`), operatorSessionOf, clock);
  return {
    signLink: (tenantId, ttlMs, { sessionTtlMs, managesKeys }) =>
      link.sign(tenantId, ttlMs, { session_ttl_ms: sessionTtlMs, manages_keys: managesKeys }),
    readLink: link.read,
    signTenant: (tenantId, source, ttlMs) => tenant.sign(tenantId, ttlMs, claimsOf(source)),
    readTenant: tenant.read,
    signOperator: (name, source, ttlMs) => operator.sign(name, ttlMs, claimsOf(source)),
    readOperator: operator.read,
  };
}

/** Functions for one kind of token, with the key of that kind. */
interface Kind<Value> {
  readonly sign: (subject: string, ttlMs: number, claims: Claims) => Promise<SignedToken<Value>>;
  readonly read: (token: string) => Promise<TokenReading<Value>>;
}

function createKind<Value extends Signed>(
  secret: Uint8Array,
  valueOf: (claims: Claims) => Value | null,
  clock: Clock,
): Kind<Value> {
  return {
    async sign(subject, ttlMs, more) {
      const nowMs = clock.now();
      const claims = { ...more, jti: randomUUID(), sub: subject, start_ms: nowMs, end_ms: nowMs + ttlMs };
      const value = valueOf(claims);
      if (value === null) throw new Error('the claims of a new token cannot be read');
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
