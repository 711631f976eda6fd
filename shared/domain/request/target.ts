/** Decoded, in the order of the path; a slash at the end is no segment. */
export type Segments = readonly string[];

/** A request-target, read once: what is matched, forwarded and stored. */
export interface Target {
  /** Path and query as they are forwarded. */
  readonly text: string;
  /** The path in normal form. */
  readonly path: string;
  /** As it came, with its `?`; empty where there is none. */
  readonly query: string;
  /** Of `path`: what routes are matched with. */
  readonly segments: Segments;
  /** Whether a segment may hold capital letters. */
  readonly capitals: boolean;
  /** How some servers split `path` otherwise; empty where all read it alike. */
  readonly otherReadings: readonly Segments[];
  /** How servers could split the path as it came; empty where that is `path`. */
  readonly writtenReadings: readonly Segments[];
  /** Host of an absolute-form target: it has precedence over the Host header (RFC 9112, 3.2.2). */
  readonly authority: string | null;
}

/** Why a request is not read, in words for its sender. */
export interface Unreadable {
  readonly status: 400 | 414;
  readonly detail: string;
}
