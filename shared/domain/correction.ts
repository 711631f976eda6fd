/**
 * Corrections of an earlier event, as events of their own on `tollgate.usage.v1`: they change what is stored of the
 * event they name, and totals follow. They count nothing themselves. Of several corrections of one event the last in
 * the tenant's partition holds. Plan, route, type and decision of an event stay what they were.
 */
export const amendEventType = 'tollgate.amend.v1';
export const voidEventType = 'tollgate.void.v1';

/** `data` of `tollgate.amend.v1` and `tollgate.void.v1`. */
export interface CorrectionData {
  /** Id of the event to correct. */
  readonly event_id: string;
  /** Its source; absent: the source of the correction itself. Requests are found by their id alone. */
  readonly event_source?: string;
  /** Its time to the millisecond, RFC 3339, where it is known: the event is then found without a search. */
  readonly event_time?: string;
  /** Amend only: the values that replace the earlier ones; what is absent stays. */
  readonly units?: number;
  /** A number, or a decimal text. */
  readonly cost?: number | string;
  /** Amend only: what became of a request: the status that its client got, and how long the application took. */
  readonly status?: number;
  readonly latency_ms?: number;
  /** Amend only: each property named replaces the earlier one. */
  readonly properties?: Readonly<Record<string, string | number | boolean>>;
}
