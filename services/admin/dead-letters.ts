import type { FastifyReply } from 'fastify';
import { readInstant } from '../../shared/domain/time/instant.ts';
import { shiftMs } from '../../shared/domain/time/duration.ts';
import type { DeadLetterService } from '../../shared/kafka/dead-letters/dead-letter-service.ts';
import type { AuditLog } from '../../shared/kafka/audit-log.ts';
import { sendProblem } from '../../shared/runtime/http/problem.ts';
import type { AdminApp } from './answer.ts';
import { authorOf } from './authenticate.ts';
import { operations } from './operations.ts';

export interface DeadLetterOptions {
  readonly deadLetters: DeadLetterService;
  readonly audit: Pick<AuditLog, 'append'>;
}

export function registerDeadLetters(app: AdminApp, options: DeadLetterOptions): void {
  const { deadLetters } = options;
  app.get('/admin/v1/dead-letters', { schema: operations.listDeadLetters }, async (request) => ({
    dead_letters: await deadLetters.list(request.query.limit ?? 50),
  }));
  app.get(
    '/admin/v1/dead-letters/:letterId',
    { schema: operations.getDeadLetter },
    async (request, reply) => (await deadLetters.get(request.params.letterId)) ?? sendNoLetter(reply),
  );
  registerReplayOfMany(app, options);
  registerReplayOfOne(app, options);
}

function registerReplayOfMany(app: AdminApp, { deadLetters, audit }: DeadLetterOptions): void {
  app.post(
    '/admin/v1/dead-letters/replay',
    { schema: operations.replayDeadLetters },
    async (request, reply) => {
      const { reason, tenant_id: tenantId, since, shift = '+0s', dry_run: dryRun = true } = request.body;
      const sinceMs = since === undefined ? undefined : readInstant(since);
      if (sinceMs === null) return sendProblem(reply, 422, 'Not sent', 'since is not an RFC 3339 time.');
      if (!dryRun) {
        const detail = `Dead letters sent again, selected by ${JSON.stringify(request.body)}`;
        await audit.append({ ...authorOf(request), action: 'dead-letters-replay', detail });
      }
      const report = await deadLetters.replayAll({
        ...(reason === undefined ? {} : { reason }),
        ...(tenantId === undefined ? {} : { tenantId }),
        ...(sinceMs === undefined ? {} : { sinceMs }),
        shiftMs: shiftMs(shift) ?? 0,
        dryRun,
      });
      const { matched, sent, incomplete, withoutTime, more, byReason } = report;
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
}

function registerReplayOfOne(app: AdminApp, { deadLetters, audit }: DeadLetterOptions): void {
  app.post(
    '/admin/v1/dead-letters/:letterId/replay',
    { schema: operations.replayDeadLetter },
    async (request, reply) => {
      const { letterId } = request.params;
      const detail = `Dead letter ${letterId} sent again`;
      await audit.append({ ...authorOf(request), action: 'dead-letter-replay', detail });
      const replay = await deadLetters.replay(letterId);
      if (replay === 'missing') return sendNoLetter(reply);
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

function sendNoLetter(reply: FastifyReply): FastifyReply {
  return sendProblem(reply, 404, 'No such dead letter', 'It may have passed its retention.');
}
