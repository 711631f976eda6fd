import { problemOfTenantId } from '../../../shared/domain/identity.ts';
import type { ConsoleParts } from '../console.ts';
import { linkTtlMsMax, sessionTtlMsMax } from '../sessions/sessions.ts';
import type { AdminApp } from './answer.ts';
import { sendProblem } from './answer.ts';
import { actorOf } from './authenticate.ts';
import { spanMs } from './installation.ts';
import { operations } from './operations.ts';

/** Who gets into a tenant's portal: links are made, and links and sessions are ended before their time. */
export function registerPortalAccess(app: AdminApp, parts: ConsoleParts): void {
  registerLinks(app, parts);
  app.delete(
    '/admin/v1/tenants/:id/portal-links/:linkId',
    { schema: operations.endPortalLink },
    async (request, reply) => {
      const { id, linkId } = request.params;
      await parts.sessions.endLink(id, linkId);
      const actor = actorOf(request.headers['x-actor']);
      const trail = { audit: true, actor, action: 'portal-link-end', tenant_id: id, link_id: linkId };
      parts.logger.info(trail, 'portal link ended');
      return reply.code(204).send();
    },
  );
  app.delete(
    '/admin/v1/tenants/:id/sessions',
    { schema: operations.endPortalSessions },
    async (request, reply) => {
      await parts.sessions.endAllOf(request.params.id, actorOf(request.headers['x-actor']));
      return reply.code(204).send();
    },
  );
}

function registerLinks(app: AdminApp, parts: ConsoleParts): void {
  app.post('/admin/v1/portal-links', { schema: operations.createPortalLink }, async (request, reply) => {
    const { tenant_id: tenantId, ttl = '1h', session_ttl: sessionTtl = '1h' } = request.body;
    const wrongId = problemOfTenantId(tenantId);
    if (wrongId !== null) return sendProblem(reply, 422, 'Link not made', `tenant_id ${wrongId}.`);
    const ttlMs = spanMs(ttl);
    if (ttlMs > linkTtlMsMax) return sendProblem(reply, 422, 'Link not made', 'ttl is at most 30d.');
    const sessionTtlMs = spanMs(sessionTtl);
    if (sessionTtlMs > sessionTtlMsMax)
      return sendProblem(reply, 422, 'Link not made', 'session_ttl is at most 8h.');
    const actor = actorOf(request.headers['x-actor']);
    const { token, value } = await parts.tokens.signLink(tenantId, ttlMs, sessionTtlMs);
    parts.logger.info(
      { audit: true, actor, action: 'portal-link', tenant_id: tenantId, link_id: value.id, ttl },
      'portal link made',
    );
    return reply
      .code(201)
      .header('cache-control', 'no-store')
      .send({
        tenant_id: tenantId,
        link_id: value.id,
        url: `${parts.publicUrl()}/sign-in?token=${token}`,
        expires_at: new Date(value.expiresAtMs).toISOString(),
        session_ttl_seconds: sessionTtlMs / 1000,
      });
  });
}
