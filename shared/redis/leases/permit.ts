import type { LimitState } from '../../domain/limit.ts';

/** A place among the requests in flight, or the answer that there is none. */
export interface Permit {
  readonly granted: boolean;
  /** One per concurrent limit, in order. */
  readonly states: readonly LimitState[];
  /** Those of them that have no place left, shadow ones included. */
  readonly full: readonly LimitState[];
  readonly degraded: boolean;
  /** Gives the place back when the request is over, however it ended. The second call does nothing. */
  release(): void;
}
