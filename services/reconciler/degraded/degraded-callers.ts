import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import { createOutageLog } from '../../../shared/runtime/outage-log.ts';
import { repeatUntilClosed } from '../../../shared/runtime/repeat.ts';
import type { Repetition } from '../../../shared/runtime/repeat.ts';
import type { CallerRestorer } from '../restore/caller-restorer.ts';
import { createDegradedTenants, readDegradedTenants } from './degraded-tenants.ts';
import type { DegradedSpan } from './degraded-tenants.ts';
import type { TenantReadingsQuery } from '../restore/tenant-readings.ts';

/**
 * Raises the quotas of users and addresses whose requests passed without Redis. An announcement of totals names the tenant and
 * the time since which some of its requests were decided without Redis. The users and addresses are read from the stored events.
 */
export interface DegradedCallers extends Repetition {
  add(tenantId: string, sinceMs: number): void;
}

export interface DegradedCallersOptions {
  readonly restoreCallers: CallerRestorer;
  readonly clickhouse: ClickHouse;
  readonly query: () => TenantReadingsQuery;
  /** Returns true once the tenant records, which hold plans, time zones and resets, are read. */
  readonly ready: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly pauseMs?: number;
}

/** Largest number of groups of callers that one comparison reads. It leaves out the callers with the least usage. */
const rowsMax = 100_000;
/** The pause after a comparison is this many times as long as the comparison, so comparisons take at most a tenth of the time. */
const pauseFactor = 9;
/**
 * How far back the reconciler reads, when it starts, to find tenants with degraded requests: the previous process may
 * have stopped without comparing them.
 */
const lookBackMs = 24 * 3_600_000;

export function followDegradedCallers(options: DegradedCallersOptions): DegradedCallers {
  const { restoreCallers, clickhouse, query, ready, clock, logger, pauseMs = 500 } = options;
  const degraded = createDegradedTenants();
  const outage = createOutageLog(logger);
  let hasReadRecent = false;
  return { add: (tenantId, sinceMs) => degraded.add(tenantId, sinceMs), ...repeatUntilClosed(round) };

  async function round(): Promise<number> {
    const startedAt = performance.now();
    if (ready()) await compare();
    return Math.max(pauseMs, (performance.now() - startedAt) * pauseFactor);
  }

  async function compare(): Promise<void> {
    let span: DegradedSpan | null = null;
    try {
      if (!hasReadRecent) await addRecent();
      span = degraded.drain();
      if (span === null) {
        outage.worked();
        return;
      }
      const { sinceMs, ...tenants } = span;
      await restoreCallers({ ...query(), ...tenants, degradedSinceMs: sinceMs, reservedSinceMs: 0, rowsMax });
      outage.worked();
    } catch (error) {
      outage.failed(error, 'quotas of users and addresses could not be compared; the comparison is repeated');
      for (const tenantId of span?.tenantIds ?? []) degraded.add(tenantId, span?.sinceMs ?? 0);
      // There were too many tenants to keep their ids, so the next comparison reads the tenants from ClickHouse.
      if (span !== null && span.tenantIds === undefined) hasReadRecent = false;
    }
  }

  async function addRecent(): Promise<void> {
    for (const { tenant_id, since_ms } of await readDegradedTenants(clickhouse, clock.now() - lookBackMs)) {
      degraded.add(tenant_id, since_ms);
    }
    hasReadRecent = true;
  }
}
