import type { Unreadable } from '../../../shared/domain/request/target.ts';

/**
 * The error response to a request that cannot be served: its status, its `detail`, and header fields that belong to the
 * status.
 */
export interface Fault extends Omit<Unreadable, 'status'> {
  readonly status: number;
  /** Value of `Allow`, which a 405 must have (RFC 9110, 15.5.6). */
  readonly allow?: string;
  /** Value of `Retry-After`, for an error that passes with time (RFC 9110, 10.2.3). */
  readonly retryAfterSeconds?: number;
}
