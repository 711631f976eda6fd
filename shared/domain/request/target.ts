/** Decoded segments of a path, in order; a trailing slash is not a segment. */
export type Segments = readonly string[];

/** A request-target that was read once; routes match it, the proxy forwards it, events store it. */
export interface Target {
  /** Path in normal form and query: the forwarded target. */
  readonly text: string;
  /** The path in normal form. */
  readonly path: string;
  /** Query unchanged, with its `?`; empty if there is none. */
  readonly query: string;
  /** Segments of `path`, which routes match. */
  readonly segments: Segments;
  /** Whether a segment may hold upper-case letters. */
  readonly capitals: boolean;
  /** Segments into which some servers split `path` differently; empty if all servers read it the same way. */
  readonly otherReadings: readonly Segments[];
  /** Segments into which servers may split the path before normalization; empty if it was in normal form. */
  readonly writtenReadings: readonly Segments[];
  /** Host of an absolute-form target: it has precedence over the Host header (RFC 9112, 3.2.2). */
  readonly authority: string | null;
}

/** Reason for refusing a request that cannot be read, for the client. */
export interface Unreadable {
  readonly status: 400 | 414;
  readonly detail: string;
}
