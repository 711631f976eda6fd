/**
 * Corrections of an earlier event are events of their own on `tollgate.usage.v1`. A correction changes the stored values
 * of the event that it names, and the totals with them; it is not counted itself. Of several corrections of one event the
 * last one in the tenant's partition holds. Plan, route, type and decision of the event do not change.
 */
export const amendEventType = 'tollgate.amend.v1';
export const voidEventType = 'tollgate.void.v1';

/** `data` of `tollgate.amend.v1` and `tollgate.void.v1`. */
export interface CorrectionData {
  /** Id of the event to correct. */
  readonly event_id: string;
  /** Source of that event; absent: the source of the correction. Requests are found by their id alone. */
  readonly event_source?: string;
  /** Time of that event to the millisecond, RFC 3339. With the time the event is found without a search. */
  readonly event_time?: string;
  /** Amend only: values that replace the stored ones; an absent value leaves the stored one. */
  readonly units?: number;
  /** A number or a decimal string. */
  readonly cost?: number | string;
  /** Amend only: the status that the client of a request received, and how long the application took. */
  readonly status?: number;
  readonly latency_ms?: number;
  /** Amend only: each property replaces the stored one of that name. */
  readonly properties?: Readonly<Record<string, string | number | boolean>>;
}
