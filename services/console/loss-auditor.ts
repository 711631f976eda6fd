import { audit, missingCount } from '../../shared/clickhouse/audit.ts';
import type { AuditReport } from '../../shared/clickhouse/audit.ts';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { completeThrough } from '../../shared/clickhouse/usage.ts';
import type { Clock } from '../../shared/runtime/clock.ts';

export interface LossReport extends AuditReport {
  /** Events that a gateway numbered and that are in no table. */
  readonly lost: number;
  readonly since: string;
  /** Younger events may still be on their way and were not looked at. */
  readonly until: string;
}

export interface LossAuditor {
  /** Looks at the last `hours`, up to where usage is complete. */
  run(hours: number): Promise<LossReport>;
}

/** Events of the last minute may still be in a gateway's spool, of which ClickHouse knows nothing. */
const youngestMs = 60_000;

export function createLossAuditor(clickhouse: ClickHouse, clock: Clock): LossAuditor {
  return {
    async run(hours) {
      const through = await completeThrough(clickhouse);
      const nowMs = clock.now();
      const untilMs = Math.min(nowMs - youngestMs, through === null ? nowMs : Date.parse(through));
      const sinceMs = untilMs - hours * 3_600_000;
      const report = await audit(clickhouse, { sinceMs, untilMs });
      return {
        lost: missingCount(report.missingSequences),
        since: new Date(sinceMs).toISOString(),
        until: new Date(untilMs).toISOString(),
        ...report,
      };
    },
  };
}
