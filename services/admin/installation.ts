import { auditLosses } from '../../shared/loss-audit/loss-audit.ts';
import type { AuditSources, LossReport } from '../../shared/loss-audit/loss-audit.ts';
import type { TenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { recentChanges } from '../../shared/tenants/records.ts';
import type { Resets } from '../../shared/tenants/reset.ts';
import { sendOutcome } from './answer.ts';
import type { AdminApp } from './answer.ts';
import { actorOf } from './authenticate.ts';
import { registerDeadLetters } from './dead-letters.ts';
import type { DeadLetterOptions } from './dead-letters.ts';
import { operations } from './operations.ts';
import { registerReservations } from './reservations.ts';
import type { ReservationOptions } from './reservations.ts';

export interface InstallationOptions extends DeadLetterOptions, ReservationOptions {
  readonly auditSources: AuditSources;
  readonly resets: Resets;
  readonly directory: Pick<TenantDirectory, 'all'>;
}

/** Operations on the whole installation: emergency reset, audit trail, dead letters, reservations, loss audit. */
export function registerInstallation(app: AdminApp, options: InstallationOptions): void {
  const { resets, directory } = options;
  app.post('/admin/v1/reset', { schema: operations.resetAllTenants }, async (request, reply) => {
    const outcome = await resets.all(actorOf(request));
    return outcome.ok ? outcome.value : sendOutcome(reply, outcome);
  });
  app.get('/admin/v1/audit', { schema: operations.listChanges }, (request) => {
    const { tenant_id: tenantId, actor, limit = 100 } = request.query;
    return { changes: recentChanges([...directory.all()], { tenantId, actor }).slice(0, limit) };
  });
  registerDeadLetters(app, options);
  registerReservations(app, options);
  registerLossAudit(app, options);
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
