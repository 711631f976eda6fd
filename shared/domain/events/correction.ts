/**
 * Amend and void events: events on `tollgate.usage.v1` that correct an earlier event. A correction changes the stored
 * values of the event that it names, and therefore the totals. The correction itself is not counted. If several
 * corrections name the same event, the last of them in the tenant's partition is valid. A correction cannot change
 * the plan, route, type or decision of an event.
 */
export const amendEventType = 'tollgate.amend.v1';
export const voidEventType = 'tollgate.void.v1';

/** `data` of `tollgate.amend.v1` and `tollgate.void.v1`. */
export interface CorrectionData {
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
}
