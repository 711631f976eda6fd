import { auditLosses } from '../../shared/audit/audit.ts';
import type { AuditSources, LossReport } from '../../shared/audit/audit.ts';
import type { AdminApp } from './answer.ts';
import { operations } from './operations.ts';

export interface LossAuditOptions {
  readonly auditSources: AuditSources;
}

/** Runs a loss audit on demand. Requests for the same period share one run, so that repeating a request adds no work. */
export function registerLossAudit(app: AdminApp, { auditSources }: LossAuditOptions): void {
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
