import { isRole } from '../domain/operators/operator.ts';
import type { Role } from '../domain/operators/operator.ts';

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
  /** Whether its sessions may change API keys: an operator who may not do so must not be able to do so by a link. */
  readonly managesKeys: boolean;
}

/** How a tenant's session was opened. The session ends when its API key, link or JWT is no longer valid. */
export type SessionSource =
  | { readonly via: 'api_key'; readonly keySha256: string }
  | {
      readonly via: 'link';
      readonly linkId: string;
      /** When the link was issued; null in sessions of earlier releases. */
      readonly linkStartedAtMs: number | null;
      readonly managesKeys: boolean;
    }
  /** `userId`: the user whom the token names; null: it names none. */
  | { readonly via: 'jwt'; readonly userId: string | null };

export interface TenantSession extends Signed {
  readonly tenantId: string;
  readonly source: SessionSource;
}

/**
 * How an operator's session was opened: with the shared admin token, with the operator's own token, or by an OpenID
 * provider, which determined the role.
 */
export type OperatorSource =
  | { readonly via: 'admin_token' }
  | { readonly via: 'token'; readonly tokenSha256: string }
  | { readonly via: 'oidc'; readonly role: Role };

export interface OperatorSession extends Signed {
  /**
   * The actor in the audit trail: the name of the operator's token, the name that the OpenID provider states, or, with
   * the shared admin token, the name that the operator entered.
   */
  readonly name: string;
  readonly source: OperatorSource;
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
  const { sub, session_ttl_ms: sessionTtlMs, manages_keys: managesKeys } = claims;
  const signed = signedOf(claims, tenantOwner(String(sub)));
  if (signed === null || typeof sub !== 'string' || typeof sessionTtlMs !== 'number') return null;
  return { ...signed, tenantId: sub, sessionTtlMs, managesKeys: managesKeys === true };
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
  const source = operatorSourceOf(claims);
  return signed === null || source === null || typeof sub !== 'string'
    ? null
    : { ...signed, name: sub, source };
}

function signedOf({ jti, start_ms: startedAtMs, end_ms: expiresAtMs }: Claims, owner: string): Signed | null {
  if (typeof jti !== 'string' || typeof startedAtMs !== 'number' || typeof expiresAtMs !== 'number')
    return null;
  return { id: jti, owner, startedAtMs, expiresAtMs };
}

export function claimsOf(source: SessionSource | OperatorSource): Claims {
  switch (source.via) {
    case 'admin_token':
      return { via: source.via };
    case 'token':
      return { via: source.via, token: source.tokenSha256 };
    case 'oidc':
      return { via: source.via, role: source.role };
    case 'api_key':
      return { via: source.via, key: source.keySha256 };
    case 'link':
      return {
        ...{ via: source.via, link: source.linkId, manages_keys: source.managesKeys },
        ...(source.linkStartedAtMs === null ? {} : { link_start_ms: source.linkStartedAtMs }),
      };
    case 'jwt':
      return { via: source.via, user: source.userId };
  }
}

export function sourceOf(claims: Claims): SessionSource | null {
  const { via, key, link, link_start_ms: startMs, manages_keys: managesKeys, user } = claims;
  if (via === 'api_key' && typeof key === 'string') return { via, keySha256: key };
  if (via === 'link' && typeof link === 'string') {
    const linkStartedAtMs = typeof startMs === 'number' ? startMs : null;
    return { via, linkId: link, linkStartedAtMs, managesKeys: managesKeys === true };
  }
  return via === 'jwt' ? { via, userId: typeof user === 'string' ? user : null } : null;
}

export function operatorSourceOf({ via, token, role }: Claims): OperatorSource | null {
  if (via === 'token' && typeof token === 'string') return { via, tokenSha256: token };
  if (via === 'oidc' && isRole(role)) return { via, role };
  return via === 'admin_token' ? { via } : null;
}
