import type { Clock } from '../runtime/time/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { tenantOwner } from './claims.ts';
import type { EndedSessions } from './ended-sessions.ts';
import type { Tokens } from './tokens.ts';

export interface PortalLink {
  /** Ends the link before it expires. */
  readonly linkId: string;
  readonly url: string;
  readonly expiresAtMs: number;
}

/** Issues and revokes access to tenants' portals. Every call is logged with its actor and `"audit": true`. */
export interface PortalLinks {
  /** The caller has to check that `ttlMs` and `sessionTtlMs` are at most `linkTtlMsMax` and `sessionTtlMsMax`. */
  issue(
    tenantId: string,
    actor: string,
    ttl: { readonly ttlMs: number; readonly sessionTtlMs: number },
  ): Promise<PortalLink>;
  /** Ends a link and every session that it opened. Rejects if Kafka does not store the change. */
  end(tenantId: string, linkId: string, actor: string): Promise<void>;
  /** Ends every current link and session of the tenant. */
  endAllOf(tenantId: string, actor: string): Promise<void>;
}

export interface PortalLinksOptions {
  readonly tokens: Pick<Tokens, 'signLink'>;
  readonly ended: Pick<EndedSessions, 'end' | 'endAll'>;
  /** URL of the console for browsers, without a slash at its end. */
  readonly consoleUrl: () => string;
  readonly clock: Clock;
  readonly logger: Logger;
}

export const linkTtlMsMax = 30 * 86_400_000;

export function createPortalLinks({
  tokens,
  ended,
  consoleUrl,
  clock,
  logger,
}: PortalLinksOptions): PortalLinks {
  return {
    async issue(tenantId, actor, { ttlMs, sessionTtlMs }) {
      const { token, value } = await tokens.signLink(tenantId, ttlMs, sessionTtlMs);
      const entry = { audit: true, actor, action: 'portal-link', tenant_id: tenantId, link_id: value.id };
      logger.info({ ...entry, ttl_seconds: ttlMs / 1000 }, 'portal link issued');
      return {
        linkId: value.id,
        url: `${consoleUrl()}/sign-in?token=${token}`,
        expiresAtMs: value.expiresAtMs,
      };
    },
    async end(tenantId, linkId, actor) {
      await ended.end({
        id: linkId,
        owner: tenantOwner(tenantId),
        expiresAtMs: clock.now() + linkTtlMsMax,
      });
      const entry = { audit: true, actor, action: 'portal-link-end', tenant_id: tenantId, link_id: linkId };
      logger.info(entry, 'portal link ended');
    },
    async endAllOf(tenantId, actor) {
      await ended.endAll(tenantOwner(tenantId));
      logger.info({ audit: true, actor, action: 'sessions-end', tenant_id: tenantId }, 'sessions ended');
    },
  };
}

/** `TOLLGATE_CONSOLE_URL` without slashes at its end. */
export function withoutSlashes(url: string): string {
  return url.replace(/(?<!\/)\/+$/, '');
}
