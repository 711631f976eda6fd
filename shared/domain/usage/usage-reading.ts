import { estimateDefaults } from './format.ts';
import type { EstimateOptions, UsageFormat } from './format.ts';

/** How the gateway measures the calls of a route. */
export interface UsageReading {
  readonly format: UsageFormat;
  /**
   * What happens to a call that is about to exceed its reserved amounts. `finish`: the whole estimate is reserved before
   * the call, and the call ends in its own time. `cut`: the gateway reserves output in slices and ends the response
   * where a limit has no room for a further slice.
   */
  readonly onExhausted: 'finish' | 'cut';
  /** Output tokens that `cut` reserves at a time. */
  readonly slice: number;
}

/** What is reserved for a call before its usage is known. */
export interface ReserveOptions extends EstimateOptions {
  /** How long a reservation stays open if it is not settled. */
  readonly expiresMs: number;
}

export const reserveDefaults: ReserveOptions = { ...estimateDefaults, expiresMs: 10 * 60_000 };
