import { setTimeout as wait } from 'node:timers/promises';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { recordPlans } from '../../shared/clickhouse/queries/spend/plans.ts';
import type { PolicyWatch } from '../../shared/policy/load.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { createOutageLog } from '../../shared/runtime/outage-log.ts';

export interface PlanPricesOptions {
  readonly clickhouse: ClickHouse;
  readonly policy: Pick<PolicyWatch, 'current' | 'onChange'>;
  readonly logger: Logger;
  readonly retryMs?: number;
}

const retryDefaultMs = 5_000;

/**
 * Records the plans and their prices in ClickHouse, at the start and after each accepted edit of the policy, so that
 * dashboards and analysts compare costs with the prices in force. A failed write is repeated until it succeeds.
 */
export function startPlanPrices({
  clickhouse,
  policy,
  logger,
  retryMs = retryDefaultMs,
}: PlanPricesOptions): { close(): Promise<void> } {
  const outage = createOutageLog(logger);
  const closing = new AbortController();
  let lastWrite = Promise.resolve();
  const removeListener = policy.onChange(schedule);
  schedule();
  return {
    async close() {
      removeListener();
      closing.abort();
      await lastWrite;
    },
  };

  /** Writes run one after another, so that the newest policy is written last. */
  function schedule(): void {
    lastWrite = lastWrite.then(write);
  }

  async function write(): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        await recordPlans(clickhouse, policy.current());
        outage.worked();
        return;
      } catch (error) {
        outage.failed(error, 'the plans of the policy could not be recorded');
      }
      await wait(retryMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  }
}
