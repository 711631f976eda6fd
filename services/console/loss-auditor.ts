import { auditLosses } from '../../shared/audit/audit.ts';
import type { AuditSources, LossReport } from '../../shared/audit/audit.ts';

export interface LossAuditor {
  /** Looks at the last `hours`. Who asks while the same look is under way gets its answer. */
  run(hours: number): Promise<LossReport>;
}

export function createLossAuditor(sources: AuditSources): LossAuditor {
  const underWay = new Map<number, Promise<LossReport>>();
  return {
    run(hours) {
      const running = underWay.get(hours);
      if (running !== undefined) return running;
      const started = auditLosses(sources, hours).finally(() => underWay.delete(hours));
      underWay.set(hours, started);
      return started;
    },
  };
}
