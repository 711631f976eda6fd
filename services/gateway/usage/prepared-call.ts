import type { UsageFormat } from '../../../shared/domain/usage/format.ts';
import type { Measures } from '../../../shared/domain/usage/measures.ts';

/** A call that was read before it is made: what to reserve, what to forward, and how to read its response. */
export interface PreparedCall {
  readonly format: UsageFormat;
  /** The model that the request names; null if the format has none. */
  readonly model: string | null;
  /** The request may be answered with an event stream. */
  readonly isStream: boolean;
  /** The measures to reserve. */
  readonly estimate: Measures;
  readonly bytesPerToken: number;
  /** The body to forward: the client's own bytes, unless `isRewritten`. */
  readonly body: Buffer;
  /** The body differs from the client's: its length is another one, and it has no content coding. */
  readonly isRewritten: boolean;
  /**
   * The report of usage was requested on the client's behalf and is removed from the stream. The response must not be
   * coded: forward `Accept-Encoding: identity`.
   */
  readonly isUsageHidden: boolean;
  /** The client requested a report of usage in the stream. */
  readonly isUsageRequested: boolean;
}
