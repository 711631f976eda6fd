import { setTimeout as wait } from 'node:timers/promises';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import { createOutageLog } from '../../../shared/runtime/outage-log.ts';
import type { CallerRestorer } from '../restore/caller-restorer.ts';
import { createDegradedTenants, readDegradedTenants } from './degraded-tenants.ts';
import type { DegradedSpan } from './degraded-tenants.ts';
import type { TenantReadingsQuery } from '../restore/tenant-readings.ts';

/**
 * Raises the quotas of users and addresses whose requests passed without Redis. An announcement names a tenant and since when
 * some of its requests were decided without Redis; only the stored events name the callers.
 */
export interface DegradedCallers {
  add(tenantId: string, sinceMs: number): void;
  close(): Promise<void>;
}

export interface DegradedCallersOptions {
  readonly restoreCallers: CallerRestorer;
  readonly clickhouse: ClickHouse;
  readonly query: () => TenantReadingsQuery;
  /** Whether the tenant records are read, which hold plans, zones and resets. */
  readonly ready: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly pauseMs?: number;
}

/** Above this, callers with the least usage are left out. */
const rowsMax = 100_000;
/** One comparison at a time, then a pause nine times as long: comparisons take a tenth of the time at most. */
const pauseFactor = 9;
/** A former reconciler may have stopped before it compared tenants that were announced within this time. */
const lookBackMs = 24 * 3_600_000;

export function followDegradedCallers(options: DegradedCallersOptions): DegradedCallers {
  const { restoreCallers, clickhouse, query, ready, clock, logger, pauseMs = 500 } = options;
  const degraded = createDegradedTenants();
  const outage = createOutageLog(logger);
  const closing = new AbortController();
  let hasReadRecent = false;
  const running = run();
  return {
    add: (tenantId, sinceMs) => degraded.add(tenantId, sinceMs),
    close: async () => {
      closing.abort();
      await running;
    },
  };

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      const startedAt = performance.now();
      if (ready()) await compare();
      const waitMs = Math.max(pauseMs, (performance.now() - startedAt) * pauseFactor);
      await wait(waitMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
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
      await restoreCallers({ ...query(), ...tenants, degradedSinceMs: sinceMs, rowsMax });
      outage.worked();
    } catch (error) {
      outage.failed(error, 'quotas of users and addresses could not be compared; the comparison is repeated');
      for (const tenantId of span?.tenantIds ?? []) degraded.add(tenantId, span?.sinceMs ?? 0);
      // There were too many tenants to keep: they are read from ClickHouse again.
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
