import type { Measures } from './measures.ts';

/**
 * How an upstream reports the measures of a call. `openai_…` and `anthropic_messages`: as in those APIs, whole responses
 * and streams. `json`: at JSON pointers of the response's body. `header`: in fields of the response's header.
 */
export const usageFormats = [
  'openai_chat',
  'openai_responses',
  'openai_embeddings',
  'anthropic_messages',
  'json',
  'header',
] as const;

export type UsageFormat = (typeof usageFormats)[number];

/** How the gateway reads the usage of a route's calls. */
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
  /**
   * Where the model's name is, for the formats that do not define it. `json`: JSON pointer into the request's body.
   * `header`: field of the request's header, in lower case. Null: calls have no model.
   */
  readonly model: string | null;
  /**
   * Where the measures are, by name of the measure, for the formats that do not define it. `json`: JSON pointers into
   * the response's body. `header`: fields of the response's header, in lower case. Empty for other formats.
   */
  readonly measures: ReadonlyMap<string, string>;
}

/** What is reserved for a call before its usage is known. */
export interface ReserveDefaults {
  /** Measures that are assumed where the request does not state them, e.g. `output_tokens` without `max_tokens`. */
  readonly measures: Measures;
  /** Bytes of the request's body that count as one input token in an estimate. */
  readonly bytesPerToken: number;
  /** How long a reservation stays open if it is not settled. */
  readonly expiresMs: number;
}

export const reserveDefaults: ReserveDefaults = {
  measures: {},
  bytesPerToken: 3,
  expiresMs: 10 * 60_000,
};
