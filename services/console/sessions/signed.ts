/** A link or a session, as its signed token describes it. */
export interface Signed {
  readonly id: string;
  /** Whose it is: a tenant, or all operators. */
  readonly owner: string;
  readonly startedAtMs: number;
  readonly expiresAtMs: number;
}

/** Opens the portal of a tenant for whoever has it. */
export interface Link extends Signed {
  readonly tenantId: string;
  /** How long a session lasts that it opens; that session ends with the link at the latest. */
  readonly sessionTtlMs: number;
}

/** Where a tenant's session came from: it is valid only as long as that is. */
export type SessionSource =
  | { readonly via: 'api_key'; readonly keySha256: string }
  | { readonly via: 'link'; readonly linkId: string }
  | { readonly via: 'jwt' };

export interface TenantSession extends Signed {
  readonly tenantId: string;
  readonly source: SessionSource;
}

export interface OperatorSession extends Signed {
  /** What the operator called itself; the history says who did what. */
  readonly name: string;
}

/** Owner of every operator's session. No tenant can have it: `tenantOwner` begins otherwise. */
export const operatorsOwner = 'operators';

export function tenantOwner(tenantId: string): string {
  return `tenant ${tenantId}`;
}

/** What a token says. Times are in milliseconds: those of the standard claims are compared in whole seconds. */
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
