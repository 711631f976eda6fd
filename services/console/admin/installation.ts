import type { FastifyReply } from 'fastify';
import { readInstant } from '../../../shared/domain/time/instant.ts';
import type { ConsoleParts } from '../console.ts';
import { recentChanges } from '../tenants/audit-trail.ts';
import type { AdminApp } from './answer.ts';
import { sendOutcome, sendProblem } from './answer.ts';
import { actorOf } from './authenticate.ts';
import { operations } from './operations.ts';

/** What concerns the whole installation: emergency reset, audit trail, dead letters, loss audit. */
export function registerInstallation(app: AdminApp, parts: ConsoleParts): void {
  app.post('/admin/v1/reset', { schema: operations.resetAllTenants }, async (request, reply) => {
    const outcome = await parts.resets.all(actorOf(request.headers['x-actor']));
    return outcome.ok ? outcome.value : sendOutcome(reply, outcome);
  });
  app.get('/admin/v1/audit', { schema: operations.listChanges }, (request) => {
    const { tenant_id: tenantId, actor, limit = 100 } = request.query;
    return { changes: recentChanges([...parts.directory.all()], { tenantId, actor }).slice(0, limit) };
  });
  registerDeadLetters(app, parts);
  app.post('/admin/v1/loss-audit', { schema: operations.auditLosses }, (request) =>
    parts.lossAuditor.run(request.query.hours ?? 24),
  );
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `15m` in milliseconds; the schema has checked its form. */
export function spanMs(text: string): number {
  return Number(text.slice(0, -1)) * (unitMs[text.slice(-1)] ?? 0);
}

function registerDeadLetters(app: AdminApp, { deadLetters, logger }: ConsoleParts): void {
  app.get('/admin/v1/dead-letters', { schema: operations.listDeadLetters }, async (request) => ({
    dead_letters: await deadLetters.list(request.query.limit ?? 50),
  }));
  app.get(
    '/admin/v1/dead-letters/:letterId',
    { schema: operations.getDeadLetter },
    async (request, reply) => (await deadLetters.show(request.params.letterId)) ?? noLetter(reply),
  );
  app.post(
    '/admin/v1/dead-letters/replay',
    { schema: operations.replayDeadLetters },
    async (request, reply) => {
      const { reason, tenant_id: tenantId, since, shift = '+0s', dry_run: dryRun = true } = request.body;
      const sinceMs = since === undefined ? undefined : readInstant(since);
      if (sinceMs === null) return sendProblem(reply, 422, 'Not sent', 'since is no RFC 3339 time.');
      const shiftMs = (shift.startsWith('-') ? -1 : 1) * spanMs(shift.slice(1));
      const report = await deadLetters.replayAll({
        ...(reason === undefined ? {} : { reason }),
        ...(tenantId === undefined ? {} : { tenantId }),
        ...(sinceMs === undefined ? {} : { sinceMs }),
        shiftMs,
        dryRun,
      });
      const { matched, sent, incomplete, withoutTime, more, byReason } = report;
      const actor = actorOf(request.headers['x-actor']);
      logger.info(
        { audit: true, actor, action: 'dead-letters-replay', selection: request.body, matched, sent },
        'replay',
      );
      return {
        dry_run: dryRun,
        matched,
        sent,
        incomplete,
        without_time: withoutTime,
        more,
        by_reason: byReason,
      };
    },
  );
  app.post(
    '/admin/v1/dead-letters/:letterId/replay',
    { schema: operations.replayDeadLetter },
    async (request, reply) => {
      const { letterId } = request.params;
      const replay = await deadLetters.replay(letterId);
      const actor = actorOf(request.headers['x-actor']);
      logger.info(
        { audit: true, actor, action: 'dead-letter-replay', letter_id: letterId, replay },
        'replay',
      );
      if (replay === 'missing') return noLetter(reply);
      if (replay === 'incomplete')
        return sendProblem(
          reply,
          409,
          'Not sent',
          'The letter holds only the beginning of its record, or names a topic that is not Tollgate’s.',
        );
      return { id: letterId, replayed: true };
    },
  );
}

function noLetter(reply: FastifyReply): FastifyReply {
  return sendProblem(reply, 404, 'No such dead letter', 'It may have passed its retention.');
}
