import { setTimeout as wait } from 'node:timers/promises';
import { Gauge } from 'prom-client';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { countReservations } from '../../shared/clickhouse/queries/reservations.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { createOutageLog } from '../../shared/runtime/outage-log.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';

export interface ReservationCountsOptions {
  readonly clickhouse: ClickHouse;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
}

/** How far back calls are counted. An older reservation that is still open was reported when it expired. */
const countedMs = 25 * 3_600_000;
const intervalMs = 60_000;

/**
 * Exports the numbers of open and expired reservations. When ClickHouse does not answer, the metrics keep their last
 * values.
 */
export function startReservationCounts(options: ReservationCountsOptions): { close(): Promise<void> } {
  const { clickhouse, clock, registry } = options;
  const open = new Gauge({
    name: 'tollgate_reservations_open',
    help: 'Open reservations of calls in the last 25 hours, expired ones included.',
    registers: [registry],
  });
  const expired = new Gauge({
    name: 'tollgate_reservations_expired',
    help: 'Open reservations of calls in the last 25 hours whose end has passed: their calls were never settled, so their reserved amounts stay charged.',
    registers: [registry],
  });
  const outage = createOutageLog(options.logger);
  const closing = new AbortController();
  const running = run();
  return {
    async close() {
      closing.abort();
      await running;
    },
  };

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        const nowMs = clock.now();
        const counts = await countReservations(clickhouse, { sinceMs: nowMs - countedMs, nowMs });
        open.set(counts.open);
        expired.set(counts.expired);
        outage.worked();
      } catch (error) {
        outage.failed(error, 'open reservations could not be counted');
      }
      await wait(intervalMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  }
}
