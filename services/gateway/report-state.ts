import { reportText } from '../../shared/domain/operators/process-report.ts';
import type { PolicyWatch } from '../../shared/policy/load.ts';
import type { Limiter } from '../../shared/redis/decision/limiter.ts';
import type { ProcessReports } from '../../shared/redis/process-reports.ts';
import { createOutageLog } from '../../shared/runtime/outage-log.ts';
import { repeatUntilClosed } from '../../shared/runtime/repeat.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { Spool } from './spool/spool.ts';

export interface StateReportOptions {
  readonly reports: ProcessReports;
  readonly node: string;
  readonly limiter: Pick<Limiter, 'state'>;
  readonly policy: Pick<PolicyWatch, 'current' | 'refused'>;
  readonly spool: Pick<Spool, 'diskFailure'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly intervalMs?: number;
}

const intervalMsDefault = 2_000;

/**
 * Reports the state of this gateway in Redis every two seconds, for the start page of operators. Without Redis nothing is
 * reported: the page then shows that this gateway has not reported. Reports never delay a decision.
 */
export function reportState(options: StateReportOptions): { close(): Promise<void> } {
  const { reports, node, limiter, policy, spool, clock, logger, intervalMs = intervalMsDefault } = options;
  const outage = createOutageLog(logger);
  let withoutRedisAt: string | null = null;
  const reporting = repeatUntilClosed(reportOnce);
  return {
    async close() {
      await reporting.close();
      await reports.remove({ kind: 'gateway', name: node }).catch(() => undefined);
    },
  };

  async function reportOnce(): Promise<number> {
    const at = new Date(clock.now()).toISOString();
    const { serversUnavailable } = limiter.state();
    if (serversUnavailable > 0) withoutRedisAt = at;
    const [violation = null] = policy.refused()?.violations ?? [];
    const failure = spool.diskFailure();
    try {
      await reports.write({
        ...{ kind: 'gateway', name: node, at, policy: policy.current().revision },
        refused_edit: violation === null ? null : reportText(violation),
        redis_unavailable: serversUnavailable,
        without_redis_at: withoutRedisAt,
        spool_failure: failure === null ? null : reportText(failure),
      });
      outage.worked();
    } catch (error) {
      outage.failed(error, 'the state of this gateway could not be reported');
    }
    return intervalMs;
  }
}
