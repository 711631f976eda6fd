import type { Policy } from '../../../shared/domain/policy.ts';
import { apiKeyId, apiKeysOf, isPermitted } from '../../../shared/domain/tenant.ts';
import type { KeyScope, TenantRecord } from '../../../shared/domain/tenant.ts';
import type { Author } from '../../../shared/domain/topics/audit-entry.ts';
import type { SessionSource, TenantSession } from '../../../shared/sessions/claims.ts';

/** What a session of the portal may do, by the credential that opened it. */
export interface PortalAccess {
  /** Scope of the API key that opened the session; null: no key did, or the key may do everything. */
  readonly scope: KeyScope | null;
  /** SHA-256 of the API key that opened the session; null: no key did. */
  readonly keySha256: string | null;
  /** Whether the session may change settings. */
  readonly mayManage: boolean;
  /** Whether the session sees and ends all sessions and portal links of the tenant. Otherwise: those of its own source. */
  readonly managesSessions: boolean;
  /** What the session may do with API keys. */
  readonly keys: 'manage' | 'view' | 'off';
  /** Actor of the changes of this session in the history. */
  readonly actor: Author;
}

/**
 * The access of a session; null if its key is not in the record or may not open the portal. A session of a JWT never
 * manages keys or sessions: the token may be that of one user, and a key acts for all users of the tenant. A session of
 * a link manages them only if the operator who issued the link may manage keys.
 */
export function accessOf(
  policy: Policy,
  record: TenantRecord | null,
  source: SessionSource,
): PortalAccess | null {
  const keySha256 = source.via === 'api_key' ? source.keySha256 : null;
  const key = record === null ? undefined : apiKeysOf(record).find(({ sha256 }) => sha256 === keySha256);
  if (keySha256 !== null && key === undefined) return null;
  const scope = key?.scope ?? null;
  if (!opensPortal(scope)) return null;
  const mayManage = isPermitted(scope, 'manage');
  const isManager = mayManage && managesKeys(source);
  const { keys } = policy.portal;
  return {
    scope,
    keySha256,
    mayManage,
    managesSessions: isManager,
    keys: keys === 'manage' && !isManager ? 'view' : keys,
    actor: { actor: `the tenant itself, by ${credentialText(source)}`, source: 'portal' },
  };
}

/** Whether a key of this scope can sign in to the portal. */
export function opensPortal(scope: KeyScope | null): boolean {
  return isPermitted(scope, 'usage') || isPermitted(scope, 'manage');
}

function managesKeys(source: SessionSource): boolean {
  return source.via === 'link' ? source.managesKeys : source.via === 'api_key';
}

/** Whether the same key, link or user opened both sessions. Of tokens that name no user, only the same session counts. */
export function isOfSameHolder(a: TenantSession, b: TenantSession): boolean {
  if (a.id === b.id) return true;
  switch (a.source.via) {
    case 'api_key':
      return b.source.via === 'api_key' && b.source.keySha256 === a.source.keySha256;
    case 'link':
      return b.source.via === 'link' && b.source.linkId === a.source.linkId;
    case 'jwt':
      return b.source.via === 'jwt' && a.source.userId !== null && b.source.userId === a.source.userId;
  }
}

/** Maximum number of characters of a user id in the name of an actor, which the record limits to 200. */
const userLengthMax = 100;

function credentialText(source: SessionSource): string {
  switch (source.via) {
    case 'api_key':
      return `API key ${apiKeyId(source.keySha256)}`;
    case 'link':
      return 'a portal link';
    case 'jwt':
      return source.userId === null
        ? 'a token'
        : `a token of user ${source.userId.slice(0, userLengthMax).toWellFormed()}`;
  }
}
