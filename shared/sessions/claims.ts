/** A link or a session, as its signed token describes it. */
export interface Signed {
  readonly id: string;
  /** Owner of the token: a tenant, or all operators together. */
  readonly owner: string;
  readonly startedAtMs: number;
  readonly expiresAtMs: number;
}

/** Opens the portal of a tenant for every holder of the link. */
export interface Link extends Signed {
  readonly tenantId: string;
  /** Duration of a session that the link opens; the session ends with the link at the latest. */
  readonly sessionTtlMs: number;
}

/** Origin of a tenant's session: the session is valid only as long as its origin. */
export type SessionSource =
  | { readonly via: 'api_key'; readonly keySha256: string }
  | { readonly via: 'link'; readonly linkId: string }
  | { readonly via: 'jwt' };

export interface TenantSession extends Signed {
  readonly tenantId: string;
  readonly source: SessionSource;
}

export interface OperatorSession extends Signed {
  /** Name that the operator entered at the sign-in; the history names it as the actor. */
  readonly name: string;
}

/** Owner of every operator's session. No tenant can have this owner: `tenantOwner` has another prefix. */
export const operatorsOwner = 'operators';

export function tenantOwner(tenantId: string): string {
  return `tenant ${tenantId}`;
}

/** Claims of a token. Times are in milliseconds, because the standard claims have whole seconds only. */
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
