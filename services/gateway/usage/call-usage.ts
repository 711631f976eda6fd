import type { Measures, UsageSource } from '../../../shared/domain/usage/measures.ts';

/** Why the figures of an upstream were corrected or not used. docs/usage-reading.md has the rule for each. */
export type UsageViolation =
  /** No figure of the report arrived. */
  | 'no_report'
  /** A figure of the report is missing. */
  | 'partial_report'
  /** A figure is not an integer from 0 to 1,000,000,000. */
  | 'invalid_figure'
  /** A cumulative figure became lower. */
  | 'decreased_figure'
  /** More cached tokens than tokens of input. */
  | 'cached_exceeds_input'
  /** The total is not the sum of input and output. */
  | 'total_mismatch'
  /** The reported output is too low for the text that was delivered. */
  | 'output_below_delivered'
  /** The response ended before its last figures arrived. */
  | 'incomplete_response'
  /** The response is not JSON, or an event of the stream is not. */
  | 'not_json'
  /** The content coding is unknown, invalid, or expands too much. */
  | 'unreadable_coding';

/** The usage of one call, which settles its reservation. */
export interface CallUsage {
  readonly measures: Measures;
  readonly source: UsageSource;
  /** The model of the request; null if the format has none. */
  readonly model: string | null;
  /** The model that the response names; null if it names none. */
  readonly servedModel: string | null;
  readonly violations: readonly UsageViolation[];
}
