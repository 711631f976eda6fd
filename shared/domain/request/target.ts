/** The decoded segments of a path, in order. A trailing slash adds no segment. */
export type Segments = readonly string[];

/** A request-target in its parsed form. Routes match it, the proxy forwards it, and events store it. */
export interface Target {
  /** The path in normal form with the query: the target that the proxy forwards. */
  readonly text: string;
  /** The path in normal form. */
  readonly path: string;
  /** The query unchanged, including `?`; empty if there is none. */
  readonly query: string;
  /** The segments of `path`; routes match them. */
  readonly segments: Segments;
  /** Whether a segment may contain upper-case letters. */
  readonly capitals: boolean;
  /** Other lists of segments that some servers get for `path`; empty if all servers get `segments`. */
  readonly otherReadings: readonly Segments[];
  /**
   * Lists of segments that servers may get for the path before normalization; empty if the path was already in normal
   * form.
   */
  readonly writtenReadings: readonly Segments[];
  /** Host of an absolute-form target: it has precedence over the Host header (RFC 9112, 3.2.2). */
  readonly authority: string | null;
}

/** Why a request cannot be read, worded for the client. */
export interface Unreadable {
  readonly status: 400 | 414;
  readonly detail: string;
}
