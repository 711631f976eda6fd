/**
 * Quantities of one call to an upstream, for example tokens: the name of a measure and a non-negative safe integer.
 * A measure that is absent is unknown, which is not the same as zero.
 */
export type Measures = Readonly<Record<string, number>>;

/**
 * The measures of an AI API. `input_tokens` are all tokens of the input: `cached_input_tokens` (read from a cache) and
 * `cache_write_input_tokens` (written to a cache) are parts of them. `output_tokens` include those of reasoning.
 */
export const standardMeasures = [
  'input_tokens',
  'cached_input_tokens',
  'cache_write_input_tokens',
  'output_tokens',
] as const;

/**
 * Where the measures of a call come from: `reported` by the upstream, `measured` by Tollgate from the output that it
 * delivered, because the report is missing or implausible, or `estimated` before the call, because nothing else is
 * known.
 */
export type UsageSource = 'reported' | 'measured' | 'estimated';

export const usageSources: readonly UsageSource[] = ['reported', 'measured', 'estimated'];

const measureName = /^[a-z][a-z0-9_]{0,47}$/;

export function isMeasureName(name: string): boolean {
  return measureName.test(name);
}

export function isMeasureValue(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
