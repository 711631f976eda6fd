import { readInstant } from '../../shared/domain/time/instant.ts';
import { auditLosses } from '../../shared/loss-audit/loss-audit.ts';
import type { AuditSources, LossReport } from '../../shared/loss-audit/loss-audit.ts';
import { sendProblem } from '../../shared/runtime/http/problem.ts';
import type { AuditTrail } from '../../shared/tenants/audit-trail.ts';
import type { Resets } from '../../shared/tenants/reset.ts';
import { sendOutcome } from './answer.ts';
import type { AdminApp } from './answer.ts';
import { authorOf } from './authenticate.ts';
import { registerDeadLetters } from './dead-letters.ts';
import type { DeadLetterOptions } from './dead-letters.ts';
import { operations } from './operations.ts';
import { registerReservations } from './reservations.ts';
import type { ReservationOptions } from './reservations.ts';

export interface InstallationOptions extends DeadLetterOptions, ReservationOptions {
  readonly auditSources: AuditSources;
  readonly resets: Resets;
  readonly auditTrail: AuditTrail;
}

/** Operations on the whole installation: emergency reset, audit trail, dead letters, reservations, loss audit. */
export function registerInstallation(app: AdminApp, options: InstallationOptions): void {
  const { resets } = options;
  app.post('/admin/v1/reset', { schema: operations.resetAllTenants }, async (request, reply) => {
    const outcome = await resets.all(authorOf(request));
    return outcome.ok ? outcome.value : sendOutcome(reply, outcome);
  });
  registerAuditTrail(app, options);
  registerDeadLetters(app, options);
  registerReservations(app, options);
  registerLossAudit(app, options);
}

function registerAuditTrail(app: AdminApp, { auditTrail }: InstallationOptions): void {
  app.get('/admin/v1/audit', { schema: operations.listChanges }, async (request, reply) => {
    const { tenant_id: tenantId, actor, action, search, since, until, cursor, limit = 100 } = request.query;
    const [sinceMs, untilMs] = [since, until].map((time) =>
      time === undefined ? undefined : readInstant(time),
    );
    if (sinceMs === null || untilMs === null)
      return sendProblem(reply, 400, 'Request not understood', 'since and until are RFC 3339 times.');
    const filter = { tenantId, actor, action, search, sinceMs, untilMs };
    const { entries, nextCursor, complete } = await auditTrail.read(filter, limit, cursor);
    return { changes: entries, next_cursor: nextCursor, complete };
  });
}

/**
 * Runs a loss audit on request. Concurrent requests for the same period share one run, so repeated requests cause no
 * additional load.
 */
function registerLossAudit(app: AdminApp, { auditSources }: InstallationOptions): void {
  const running = new Map<number, Promise<LossReport>>();
  app.post('/admin/v1/loss-audit', { schema: operations.auditLosses }, (request) => {
    const hours = request.query.hours ?? 24;
    const known = running.get(hours);
    if (known !== undefined) return known;
    const started = auditLosses(auditSources, hours).finally(() => running.delete(hours));
    running.set(hours, started);
    return started;
  });
}
