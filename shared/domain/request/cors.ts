/** Which web pages may read what Tollgate answers itself (the CORS protocol of the Fetch standard). */
export interface CorsPolicy {
  /** Exact origins, e.g. `https://app.example.com`; null: every origin. */
  readonly origins: ReadonlySet<string> | null;
  /** Whether pages may read answers to requests with cookies or client certificates. */
  readonly credentials: boolean;
  /** How long a browser may keep the answer to a preflight. */
  readonly maxAgeSeconds: number;
  /** In lower case, those of the limits first. */
  readonly exposedHeaders: readonly string[];
}
