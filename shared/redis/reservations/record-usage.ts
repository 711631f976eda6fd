import type { CheckRequest } from '../decision/check.ts';
import type { Subjects } from '../decision/subjects.ts';
import { shapeOf } from '../decision/windows.ts';
import { checkedReservation } from './pending-reservation.ts';
import type { ReservationRequest, Reservations, SettleResult } from './reservation.ts';
import type { Reserve } from './reserve.ts';

/** A check with the id under which its amounts are recorded. */
export type RecordedRequest = CheckRequest & { readonly reservation: ReservationRequest };

export interface UsageRecorderOptions {
  readonly subjects: Subjects;
  readonly partsOf: Reserve['partsOf'];
  readonly reservations: Pick<Reservations, 'settle'>;
  /** Time of Redis, Unix milliseconds. */
  readonly nowMs: () => number;
}

/**
 * Returns a function that charges amounts which were consumed without a reservation: it settles a reservation that was never
 * made, so the amounts are charged without a test of room, in each slot of the check.
 */
export function createUsageRecorder({ subjects, partsOf, reservations, nowMs }: UsageRecorderOptions) {
  return async (request: RecordedRequest): Promise<SettleResult> => {
    const { tenantId, userId, limits, calendar, amounts = {} } = request;
    const shape = shapeOf(limits, tenantId !== null, userId !== null, calendar ?? 'UTC');
    const own = shape.subjects.map((kind) => subjects.of(kind, request));
    const nothing = Object.fromEntries(Object.keys(amounts).map((name) => [name, 0]));
    const parts = partsOf({ ...request, amounts: nothing }, shape, own);
    return reservations.settle(checkedReservation(tenantId, parts, null, nowMs()).handle, amounts);
  };
}
