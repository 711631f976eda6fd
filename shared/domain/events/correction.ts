import type { CallUsageData, ReservationData, ReservationState } from '../usage-event.ts';

/**
 * Amend and void events: events on `tollgate.usage.v1` that correct an earlier event. A correction changes the stored
 * values of the event that it names, and therefore the totals. The correction itself is not counted. If several
 * corrections name the same event, the last of them in the tenant's partition is valid. A correction cannot change
 * the plan, route, type or decision of an event.
 */
export const amendEventType = 'tollgate.amend.v1';
export const voidEventType = 'tollgate.void.v1';

/** `data` of `tollgate.amend.v1` and `tollgate.void.v1`. */
export interface CorrectionData extends CallUsageData {
  /** Id of the corrected event. */
  readonly event_id: string;
  /** Source of the corrected event; absent: the source of the correction. A request is found by its id alone. */
  readonly event_source?: string;
  /** Time of the corrected event to the millisecond, RFC 3339. It makes the search by id unnecessary. */
  readonly event_time?: string;
  /** Amend only: new values. A field that is absent keeps its stored value. */
  readonly units?: number;
  /** A number or a decimal text. */
  readonly cost?: number | string;
  /** Amend only: the status code that the client received, and the response time of the application. */
  readonly status?: number;
  readonly latency_ms?: number;
  /** Amend only: new values of single properties, by name. */
  readonly properties?: Readonly<Record<string, string | number | boolean>>;
  /** Amend only, gateways only: the amend settles, cancels or extends the reservation of the event. */
  readonly reservation?: ReservationChange;
}

/**
 * Change of a reservation, as part of an amend event.
 *
 * `settled` and `cancelled`: `quantities` of the amend replaces the reserved amounts; absent, `settled` keeps them and
 * `cancelled` sets them to nothing. `open` extends an open reservation: `reserved` has the new amounts, which quotas
 * count. An extension of a reservation that is settled or cancelled changes nothing.
 */
export interface ReservationChange extends Partial<Pick<ReservationData, 'reserved' | 'expires_at'>> {
  readonly state: ReservationState;
  /**
   * Number of the settlement, from 1, in the order in which Redis applied the settlements of this reservation. A
   * settlement with a lower number than the stored one changes nothing. Gateways send settlements through different
   * spools, so the log may have them in another order. Absent: the order of the log counts.
   */
  readonly number?: number;
}
