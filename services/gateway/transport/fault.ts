import type { Unreadable } from '../../../shared/domain/request/target.ts';

/** Why a request cannot be served as it was sent: the answer to it. */
export interface Fault extends Omit<Unreadable, 'status'> {
  readonly status: number;
  /** For `Allow`, with a 405. */
  readonly allow?: string;
  /** For `Retry-After`, where waiting helps. */
  readonly retryAfterSeconds?: number;
}
