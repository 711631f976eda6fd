import type { FastifyReply } from 'fastify';
import { problemOfTenantId } from '../../shared/domain/identity.ts';
import { hasRole } from '../../shared/domain/operators/operator.ts';
import { spanMs } from '../../shared/domain/time/duration.ts';
import { sendProblem } from '../../shared/runtime/http/problem.ts';
import { linkTtlMsMax } from '../../shared/sessions/portal-links.ts';
import type { PortalLinks } from '../../shared/sessions/portal-links.ts';
import { sessionTtlMsMax } from '../../shared/sessions/sessions.ts';
import type { AdminApp } from './answer.ts';
import { authorOf } from './authenticate.ts';
import { operations } from './operations.ts';

export interface PortalAccessOptions {
  readonly portalLinks: PortalLinks;
}

/** Access to tenants' portals: issues links, and ends links and sessions before they expire. */
export function registerPortalAccess(app: AdminApp, { portalLinks }: PortalAccessOptions): void {
  app.post('/admin/v1/portal-links', { schema: operations.createPortalLink }, async (request, reply) => {
    const { tenant_id: tenantId, ttl = '1h', session_ttl: sessionTtl = '1h' } = request.body;
    const refuse = (detail: string): FastifyReply => sendProblem(reply, 422, 'Link not made', detail);
    const wrongId = problemOfTenantId(tenantId);
    if (wrongId !== null) return refuse(`tenant_id ${wrongId}.`);
    const ttlMs = spanMs(ttl) ?? Infinity;
    if (ttlMs > linkTtlMsMax) return refuse('ttl is at most 30d.');
    const sessionTtlMs = spanMs(sessionTtl) ?? Infinity;
    if (sessionTtlMs > sessionTtlMsMax) return refuse('session_ttl is at most 8h.');
    const link = await portalLinks.issue(tenantId, authorOf(request), {
      ...{ ttlMs, sessionTtlMs },
      managesKeys: request.operator !== null && hasRole(request.operator.role, 'admin'),
    });
    return reply
      .code(201)
      .header('cache-control', 'no-store')
      .send({
        tenant_id: tenantId,
        link_id: link.linkId,
        url: link.url,
        expires_at: new Date(link.expiresAtMs).toISOString(),
        session_ttl_seconds: sessionTtlMs / 1000,
      });
  });
  app.delete(
    '/admin/v1/tenants/:id/portal-links/:linkId',
    { schema: operations.endPortalLink },
    async (request, reply) => {
      await portalLinks.end(request.params.id, request.params.linkId, authorOf(request));
      return reply.code(204).send();
    },
  );
  app.delete(
    '/admin/v1/tenants/:id/sessions',
    { schema: operations.endPortalSessions },
    async (request, reply) => {
      await portalLinks.endAllOf(request.params.id, authorOf(request));
      return reply.code(204).send();
    },
  );
}
