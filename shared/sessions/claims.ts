/** A portal link or a session: the content of its signed token. */
export interface Signed {
  readonly id: string;
  /** Owner of the token: a tenant, or all operators together. */
  readonly owner: string;
  readonly startedAtMs: number;
  readonly expiresAtMs: number;
}

/** A link that opens the portal of a tenant. It works for every holder. */
export interface Link extends Signed {
  readonly tenantId: string;
  /** Duration of the sessions that the link opens. A session ends no later than the link. */
  readonly sessionTtlMs: number;
}

/** How a tenant's session was opened. The session ends when its API key, link or JWT is no longer valid. */
export type SessionSource =
  | { readonly via: 'api_key'; readonly keySha256: string }
  | { readonly via: 'link'; readonly linkId: string }
  | { readonly via: 'jwt' };

export interface TenantSession extends Signed {
  readonly tenantId: string;
  readonly source: SessionSource;
}

export interface OperatorSession extends Signed {
  /** Name that the operator entered at the sign-in. The history shows it as the actor. */
  readonly name: string;
}

/**
 * Owner of the sessions of all operators. It differs from the owner of every tenant, because `tenantOwner` adds a
 * prefix.
 */
export const operatorsOwner = 'operators';

export function tenantOwner(tenantId: string): string {
  return `tenant ${tenantId}`;
}

/**
 * Claims of a token. Times are in milliseconds in claims of Tollgate's own, because the standard claims have whole
 * seconds only.
 */
export type Claims = Readonly<Record<string, unknown>>;

export function linkOf(claims: Claims): Link | null {
  const { sub, session_ttl_ms: sessionTtlMs } = claims;
  const signed = signedOf(claims, tenantOwner(String(sub)));
  if (signed === null || typeof sub !== 'string' || typeof sessionTtlMs !== 'number') return null;
  return { ...signed, tenantId: sub, sessionTtlMs };
}

export function tenantSessionOf(claims: Claims): TenantSession | null {
  const { sub } = claims;
  const signed = signedOf(claims, tenantOwner(String(sub)));
  const source = sourceOf(claims);
  if (signed === null || source === null || typeof sub !== 'string') return null;
  return { ...signed, tenantId: sub, source };
}

export function operatorSessionOf(claims: Claims): OperatorSession | null {
  const { sub } = claims;
  const signed = signedOf(claims, operatorsOwner);
  return signed === null || typeof sub !== 'string' ? null : { ...signed, name: sub };
}

function signedOf({ jti, start_ms: startedAtMs, end_ms: expiresAtMs }: Claims, owner: string): Signed | null {
  if (typeof jti !== 'string' || typeof startedAtMs !== 'number' || typeof expiresAtMs !== 'number')
    return null;
  return { id: jti, owner, startedAtMs, expiresAtMs };
}

export function claimsOf(source: SessionSource): Claims {
  switch (source.via) {
    case 'api_key':
      return { via: source.via, key: source.keySha256 };
    case 'link':
      return { via: source.via, link: source.linkId };
    case 'jwt':
      return { via: source.via };
  }
}

function sourceOf({ via, key, link }: Claims): SessionSource | null {
  if (via === 'api_key' && typeof key === 'string') return { via, keySha256: key };
  if (via === 'link' && typeof link === 'string') return { via, linkId: link };
  return via === 'jwt' ? { via } : null;
}
