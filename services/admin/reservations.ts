import { jsonAmounts } from '../../shared/domain/money.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import type { UsageReader } from '../../shared/tenants/usage-reader.ts';
import type { AdminApp } from './answer.ts';
import { operations } from './operations.ts';

export interface ReservationOptions {
  readonly usage: UsageReader;
  readonly clock: Clock;
}

/** A reservation can be settled for a day after its call, and is longest a day itself. */
const hoursDefault = 48;
const hourMs = 3_600_000;

/** Lists the reservations of calls that are in progress or were never settled. */
export function registerReservations(app: AdminApp, { usage, clock }: ReservationOptions): void {
  app.get('/admin/v1/reservations', { schema: operations.listReservations }, async (request) => {
    const { tenant_id: tenantId = null, expired = false, hours = hoursDefault, limit = 100 } = request.query;
    const nowMs = clock.now();
    // Read first, so that the list contains at least the events up to this time.
    const completeThrough = await usage.completeThrough();
    const found = await usage.openReservations({
      ...{ tenantId, expiredOnly: expired, sinceMs: nowMs - hours * hourMs, nowMs },
      countMax: limit + 1,
    });
    return {
      reservations: found.slice(0, limit).map((one) => ({ ...one, reserved: jsonAmounts(one.reserved) })),
      more: found.length > limit,
      complete_through: completeThrough,
    };
  });
}
