import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { readInstant } from '../../../shared/domain/instant.ts';
import type { ConsoleParts } from '../console.ts';
import { recentChanges } from '../tenants/audit-trail.ts';
import type { AdminApp } from './answer.ts';
import { sendProblem } from './answer.ts';
import { actorOf } from './authenticate.ts';
import { AuditQuery, ResetAllBody } from './schemas.ts';

/** What concerns the whole installation: emergency reset, audit trail, dead letters, loss audit. */
export function registerInstallation(app: AdminApp, parts: ConsoleParts): void {
  app.post(
    '/admin/v1/reset',
    { schema: { body: ResetAllBody, summary: 'Emergency: reset the counters of all tenants' } },
    (request) => parts.resets.all(actorOf(request.headers['x-actor'])),
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
    { schema: { querystring: LossQuery, summary: 'Look for lost events' } },
    (request) => parts.lossAuditor.run(request.query.hours),
  );
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `15m` in milliseconds; the schema has checked its form. */
export function spanMs(text: string): number {
  return Number(text.slice(0, -1)) * (unitMs[text.slice(-1)] ?? 0);
}

const LossQuery = Type.Object({ hours: Type.Integer({ minimum: 1, maximum: 24 * 31, default: 24 }) });
const LetterParams = Type.Object({ letterId: Type.String({ pattern: '^[0-9]+-[0-9]+$' }) });
const LettersQuery = Type.Object({ limit: Type.Integer({ minimum: 1, maximum: 1000, default: 50 }) });

const ReplayBody = Type.Object(
  {
    reason: Type.Optional(Type.String({ minLength: 1, description: 'Text that the reason contains.' })),
    tenant_id: Type.Optional(Type.String({ minLength: 1 })),
    since: Type.Optional(Type.String({ description: 'RFC 3339: letters written from then on.' })),
    shift: Type.Optional(
      Type.String({
        pattern: '^[+-][0-9]{1,6}[smhd]$',
        description: 'Added to the time of each event, e.g. +15m: for those of a node with a wrong clock.',
      }),
    ),
    dry_run: Type.Optional(Type.Boolean({ description: 'Count only; the default.' })),
  },
  // One of them has to be there: all letters of 90 days are not what anybody means.
  {
    additionalProperties: false,
    anyOf: ['reason', 'tenant_id', 'since'].map((name) => ({ required: [name] })),
  },
);

function registerDeadLetters(app: AdminApp, { deadLetters, logger }: ConsoleParts): void {
  app.get(
    '/admin/v1/dead-letters',
    { schema: { querystring: LettersQuery, summary: 'Dead letters, newest first' } },
    async (request) => ({ dead_letters: await deadLetters.list(request.query.limit) }),
  );
  app.get(
    '/admin/v1/dead-letters/:letterId',
    { schema: { params: LetterParams, summary: 'A dead letter' } },
    async (request, reply) => (await deadLetters.show(request.params.letterId)) ?? noLetter(reply),
  );
  app.post(
    '/admin/v1/dead-letters/replay',
    {
      schema: {
        body: ReplayBody,
        summary: 'Send all that are selected again; counts only, unless dry_run is false',
      },
    },
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
    { schema: { params: LetterParams, summary: 'Send it again' } },
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
        return sendProblem(reply, 409, 'Not sent', 'The letter holds only the beginning of its record.');
      return { id: letterId, replayed: true };
    },
  );
}

function noLetter(reply: FastifyReply): FastifyReply {
  return sendProblem(reply, 404, 'No such dead letter', 'It may have passed its retention.');
}
