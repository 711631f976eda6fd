import { setTimeout as wait } from 'node:timers/promises';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { createOutageLog } from '../../shared/runtime/outage-log.ts';
import type { CallerRaiser } from './caller-raiser.ts';
import { createDegradedTenants, readDegradedTenants } from './degraded-tenants.ts';
import type { DegradedSpan } from './degraded-tenants.ts';
import type { RebuildQuestion } from './rebuild.ts';

/**
 * Raises the quotas of users and addresses whose requests passed without Redis. Announcements speak of tenants, and say
 * since when some of a tenant's requests were decided without Redis; only the events know whose those were.
 */
export interface DegradedCallers {
  note(tenantId: string, sinceMs: number): void;
  close(): Promise<void>;
}

export interface DegradedCallersOptions {
  readonly raise: CallerRaiser;
  readonly clickhouse: ClickHouse;
  readonly question: () => RebuildQuestion;
  /** Whether records are read: without them plans, zones and resets are not known. */
  readonly ready: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly pauseMs?: number;
}

/** More callers than this have their counters raised in the order of what they used. */
const rowsMax = 100_000;
/** One comparison at a time, and a pause of nine times as long: a tenth of one query's work at most. */
const pauseShare = 9;
/** What a reconciler before this one may have noted and not compared. */
const lookBackMs = 24 * 3_600_000;

export function followDegradedCallers(options: DegradedCallersOptions): DegradedCallers {
  const { raise, clickhouse, question, ready, clock, logger, pauseMs = 500 } = options;
  const degraded = createDegradedTenants();
  const outage = createOutageLog(logger);
  const closing = new AbortController();
  let lookedBack = false;
  const running = run();
  return {
    note: (tenantId, sinceMs) => degraded.note(tenantId, sinceMs),
    close: async () => {
      closing.abort();
      await running;
    },
  };

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      const startedAt = performance.now();
      if (ready()) await compare();
      const restMs = Math.max(pauseMs, (performance.now() - startedAt) * pauseShare);
      await wait(restMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  }

  async function compare(): Promise<void> {
    let span: DegradedSpan | null = null;
    try {
      if (!lookedBack) await lookBack();
      span = degraded.take();
      if (span === null) {
        outage.worked();
        return;
      }
      const { sinceMs, ...tenants } = span;
      await raise({ ...question(), ...tenants, degradedSinceMs: sinceMs, rowsMax });
      outage.worked();
    } catch (error) {
      outage.failed(error, 'quotas of users and addresses could not be compared and are tried again');
      for (const tenantId of span?.tenantIds ?? []) degraded.note(tenantId, span?.sinceMs ?? 0);
      // Too many to name: they are found again.
      if (span !== null && span.tenantIds === undefined) lookedBack = false;
    }
  }

  async function lookBack(): Promise<void> {
    for (const { tenant_id, since_ms } of await readDegradedTenants(clickhouse, clock.now() - lookBackMs)) {
      degraded.note(tenant_id, since_ms);
    }
    lookedBack = true;
  }
}
