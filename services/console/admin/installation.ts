import { Type } from 'typebox';
import type { ConsoleParts } from '../console.ts';
import { recentChanges } from '../tenants/audit-trail.ts';
import type { AdminApp } from './answer.ts';
import { sendProblem } from './answer.ts';
import { actorOf } from './authenticate.ts';
import { AuditQuery, PortalLinkBody, ResetAllBody } from './schemas.ts';

/** What concerns the whole installation: emergency reset, portal links, audit trail, dead letters, loss audit. */
export function registerInstallation(app: AdminApp, parts: ConsoleParts): void {
  app.post(
    '/admin/v1/reset',
    { schema: { body: ResetAllBody, summary: 'Emergency: reset the counters of all tenants' } },
    (request) => parts.resets.all(actorOf(request.headers['x-actor'])),
  );
  app.post(
    '/admin/v1/portal-links',
    { schema: { body: PortalLinkBody, summary: 'A signed link that opens the portal for one tenant' } },
    async (request, reply) => {
      const { tenant_id: tenantId, ttl = '1h' } = request.body;
      const ttlMs = spanMs(ttl);
      if (ttlMs > linkTtlMsMax) return sendProblem(reply, 422, 'Link not made', 'ttl is at most 30d.');
      const actor = actorOf(request.headers['x-actor']);
      const token = await parts.tokens.signLink(tenantId, ttlMs);
      parts.logger.info(
        { audit: true, actor, action: 'portal-link', tenant_id: tenantId, ttl },
        'portal link made',
      );
      return reply
        .code(201)
        .header('cache-control', 'no-store')
        .send({
          tenant_id: tenantId,
          url: `${parts.publicUrl()}/sign-in?token=${token}`,
          expires_at: new Date(parts.clock.now() + ttlMs).toISOString(),
        });
    },
  );
  app.get(
    '/admin/v1/audit',
    { schema: { querystring: AuditQuery, summary: 'Who changed what, newest first' } },
    (request) => {
      const { tenant_id: tenantId, actor, limit } = request.query;
      return { changes: recentChanges([...parts.directory.all()], { tenantId, actor }).slice(0, limit) };
    },
  );
  registerDeadLetters(app, parts);
  app.post(
    '/admin/v1/loss-audit',
    { schema: { summary: 'Compare what was sent with what is stored' } },
    (_request, reply) =>
      parts.lossAuditor === null ? missing(reply, 'The loss audit') : parts.lossAuditor.run(),
  );
}

const linkTtlMsMax = 30 * 86_400_000;
const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `15m` in milliseconds; the schema has checked its form. */
export function spanMs(text: string): number {
  return Number(text.slice(0, -1)) * (unitMs[text.slice(-1)] ?? 0);
}

function registerDeadLetters(app: AdminApp, parts: ConsoleParts): void {
  const params = Type.Object({ letterId: Type.String({ pattern: '^[0-9]+-[0-9]+$' }) });
  const query = Type.Object({ limit: Type.Integer({ minimum: 1, maximum: 1000, default: 50 }) });
  app.get(
    '/admin/v1/dead-letters',
    { schema: { querystring: query, summary: 'Dead letters, newest first' } },
    async (request, reply) => {
      if (parts.deadLetters === null) return missing(reply, 'The dead-letter desk');
      return { dead_letters: await parts.deadLetters.list(request.query.limit) };
    },
  );
  app.get(
    '/admin/v1/dead-letters/:letterId',
    { schema: { params, summary: 'A dead letter' } },
    async (request, reply) => {
      if (parts.deadLetters === null) return missing(reply, 'The dead-letter desk');
      const letter = await parts.deadLetters.show(request.params.letterId);
      return letter ?? sendProblem(reply, 404, 'No such dead letter', 'It may have passed its retention.');
    },
  );
  app.post(
    '/admin/v1/dead-letters/:letterId/replay',
    { schema: { params, summary: 'Send it again' } },
    async (request, reply) => {
      if (parts.deadLetters === null) return missing(reply, 'The dead-letter desk');
      const { letterId } = request.params;
      if (!(await parts.deadLetters.replay(letterId)))
        return sendProblem(reply, 404, 'No such dead letter', 'It may have passed its retention.');
      const actor = actorOf(request.headers['x-actor']);
      parts.logger.info(
        { audit: true, actor, action: 'dead-letter-replay', letter_id: letterId },
        'replayed',
      );
      return { id: letterId, replayed: true };
    },
  );
}

function missing(reply: Parameters<typeof sendProblem>[0], what: string): ReturnType<typeof sendProblem> {
  return sendProblem(reply, 501, 'Not connected', `${what} is not connected to this console.`);
}
