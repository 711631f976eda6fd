import type { Clock } from '../runtime/time/clock.ts';
import { authorFields } from '../domain/topics/audit-entry.ts';
import type { Author } from '../domain/topics/audit-entry.ts';
import type { AuditLog } from '../kafka/audit-log.ts';
import { formatTime } from '../domain/time/format-time.ts';
import { tenantOwner } from './claims.ts';
import type { EndedSessions } from './ended-sessions.ts';
import type { SessionList } from './session-list.ts';
import type { LinkOptions, Tokens } from './tokens.ts';

export interface PortalLink {
  /** Ends the link before it expires. */
  readonly linkId: string;
  readonly url: string;
  readonly expiresAtMs: number;
}

/** Issues and revokes access to tenants' portals. The audit trail has an entry of each call before its effect. */
export interface PortalLinks {
  /** The caller has to check that `ttlMs` and `sessionTtlMs` are at most `linkTtlMsMax` and `sessionTtlMsMax`. */
  issue(
    tenantId: string,
    author: Author | string,
    options: LinkOptions & { readonly ttlMs: number },
  ): Promise<PortalLink>;
  /** Ends a link and every session that it opened. Rejects if Kafka does not store the change. */
  end(tenantId: string, linkId: string, author: Author | string): Promise<void>;
  /** Ends every current link and session of the tenant. */
  endAllOf(tenantId: string, author: Author | string): Promise<void>;
}

export interface PortalLinksOptions {
  readonly tokens: Pick<Tokens, 'signLink'>;
  readonly ended: Pick<EndedSessions, 'end' | 'endAll'>;
  /** URL of the console for browsers, without a slash at its end. */
  readonly consoleUrl: () => string;
  readonly clock: Clock;
  readonly audit: Pick<AuditLog, 'append'>;
  readonly list: Pick<SessionList, 'add'>;
}

export const linkTtlMsMax = 30 * 86_400_000;

export function createPortalLinks({
  tokens,
  ended,
  consoleUrl,
  clock,
  audit,
  list,
}: PortalLinksOptions): PortalLinks {
  return {
    async issue(tenantId, author, { ttlMs, ...options }) {
      const { token, value } = await tokens.signLink(tenantId, ttlMs, options);
      const facts = { link: value.id, expires_at: new Date(value.expiresAtMs).toISOString() };
      const detail = `Portal link issued, valid until ${formatTime(value.expiresAtMs)}`;
      await audit.append({
        ...authorFields(author),
        tenant_id: tenantId,
        action: 'portal-link',
        detail,
        facts,
      });
      list.add({
        ...{ id: value.id, kind: 'link', owner: value.owner, name: authorFields(author).actor, source: {} },
        ...{ startedAtMs: value.startedAtMs, expiresAtMs: value.expiresAtMs, usedAtMs: null },
        ...{ network: '', agent: '' },
      });
      return {
        linkId: value.id,
        url: `${consoleUrl()}/sign-in?token=${token}`,
        expiresAtMs: value.expiresAtMs,
      };
    },
    async end(tenantId, linkId, author) {
      const entry = { action: 'portal-link-end', detail: 'Portal link and its sessions ended' };
      await audit.append({ ...authorFields(author), tenant_id: tenantId, ...entry, facts: { link: linkId } });
      await ended.end({
        id: linkId,
        owner: tenantOwner(tenantId),
        expiresAtMs: clock.now() + linkTtlMsMax,
      });
    },
    async endAllOf(tenantId, author) {
      const entry = { action: 'sessions-end', detail: 'All portal links and sessions ended' };
      await audit.append({ ...authorFields(author), tenant_id: tenantId, ...entry });
      await ended.endAll(tenantOwner(tenantId));
    },
  };
}

/** `TOLLGATE_CONSOLE_URL` without slashes at its end. */
export function withoutSlashes(url: string): string {
  return url.replace(/(?<!\/)\/+$/, '');
}
