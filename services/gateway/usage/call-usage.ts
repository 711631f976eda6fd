import type { Measures, UsageSource } from '../../../shared/domain/usage/measures.ts';

/**
 * Why the figures of an upstream were corrected or not used. docs/usage-reading.md has the rule for each.
 *
 * - `no_report`: no figure of the report arrived.
 * - `partial_report`: a figure of the report is missing.
 * - `invalid_figure`: a figure is not an integer from 0 to 1,000,000,000.
 * - `decreased_figure`: a cumulative figure became lower.
 * - `cached_exceeds_input`: more cached tokens than tokens of input.
 * - `total_mismatch`: the total is not the sum of input and output.
 * - `output_below_delivered`: the reported output is too low for the text that was delivered.
 * - `incomplete_response`: the response ended before its last figures arrived.
 * - `not_json`: the response is not JSON, or an event of the stream is not.
 * - `unreadable_coding`: the content coding is unknown, invalid, or expands too much.
 */
export const usageViolations = [
  'no_report',
  'partial_report',
  'invalid_figure',
  'decreased_figure',
  'cached_exceeds_input',
  'total_mismatch',
  'output_below_delivered',
  'incomplete_response',
  'not_json',
  'unreadable_coding',
] as const;

export type UsageViolation = (typeof usageViolations)[number];

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
