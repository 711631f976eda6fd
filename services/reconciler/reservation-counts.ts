import { Gauge } from 'prom-client';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { countReservations } from '../../shared/clickhouse/queries/reservations.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { createOutageLog } from '../../shared/runtime/outage-log.ts';
import { repeatUntilClosed } from '../../shared/runtime/repeat.ts';
import type { Repetition } from '../../shared/runtime/repeat.ts';
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
/** A reservation has expired recently if its end passed within this time. */
const recentMs = 3_600_000;
/** Most tenants that the metrics name, so that their number of series is bounded. */
const tenantsMax = 5;

/**
 * Exports the numbers of open and expired reservations. When ClickHouse does not answer, the metrics keep their last
 * values.
 */
export function startReservationCounts(options: ReservationCountsOptions): Repetition {
  const { clickhouse, clock, registry } = options;
  const gauges = reservationGauges(registry);
  const outage = createOutageLog(options.logger);
  return repeatUntilClosed(count);

  async function count(): Promise<number> {
    try {
      const nowMs = clock.now();
      const counts = await countReservations(clickhouse, {
        ...{ sinceMs: nowMs - countedMs, expiredSinceMs: nowMs - recentMs },
        ...{ tenantsMax, nowMs },
      });
      gauges.open.set(counts.open);
      gauges.expired.set(counts.expired);
      gauges.expiredRecently.set(counts.expiredRecently);
      gauges.ofTenants.reset();
      for (const { tenantId, expiredRecently } of counts.tenants)
        gauges.ofTenants.set({ tenant: tenantId }, expiredRecently);
      outage.worked();
    } catch (error) {
      outage.failed(error, 'open reservations could not be counted');
    }
    return intervalMs;
  }
}

function reservationGauges(registry: Registry) {
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers: [registry] });
  return {
    open: gauge(
      'tollgate_reservations_open',
      'Open reservations of calls in the last 25 hours, expired ones included.',
    ),
    expired: gauge(
      'tollgate_reservations_expired',
      'Open reservations of calls in the last 25 hours whose end has passed: their calls were never settled, so their reserved amounts stay charged.',
    ),
    expiredRecently: gauge(
      'tollgate_reservations_expired_recently',
      'Reservations whose end passed in the last hour without a settlement.',
    ),
    ofTenants: new Gauge({
      name: 'tollgate_reservations_expired_recently_by_tenant',
      help: 'Reservations whose end passed in the last hour without a settlement, of the five tenants with most of them.',
      labelNames: ['tenant'],
      registers: [registry],
    }),
  };
}
