import type { UsageSource } from '../../../../shared/domain/usage/measures.ts';
import type { UsageViolation } from '../call-usage.ts';
import type { Evidence, Judgement } from './evidence.ts';
import { checkInputParts, measuresOfParts } from './input-parts.ts';

/**
 * The figures of a report in the terms of `standardMeasures`. A figure that was not reported is undefined. `total` is
 * the sum of input and output as the upstream computed it.
 */
export interface ReportedFigures {
  readonly input: number | undefined;
  readonly output: number | undefined;
  readonly cached: number | undefined;
  readonly cacheWrite: number | undefined;
  readonly total: number | undefined;
}

/**
 * No token of a common tokenizer has more bytes of text. If more bytes were delivered for each reported token, the report
 * is too low.
 */
const tokenBytesMax = 128;

/**
 * Decides which figures count. The upstream's figures count as long as they are plausible. Delivered output is always
 * charged: where a figure is missing or too low, the output that was counted along the stream replaces it.
 */
export function judgeReport(reported: ReportedFigures, hasOutput: boolean, evidence: Evidence): Judgement {
  const { violations, estimate } = evidence;
  const { input, output } = matchTotal(reported, hasOutput, violations);
  const hasReport = input !== undefined || output !== undefined;
  if (!hasReport) violations.add('no_report');
  else if (input === undefined || (hasOutput && output === undefined)) violations.add('partial_report');
  const parts = checkInputParts(
    { input, cached: reported.cached, cacheWrite: reported.cacheWrite },
    violations,
  );
  const charged = hasOutput ? outputOf(output, evidence) : { tokens: 0, source: 'reported' as const };
  return {
    measures: {
      input_tokens: estimate['input_tokens'] ?? 0,
      ...measuresOfParts(parts),
      ...(hasOutput && { output_tokens: charged.tokens }),
    },
    source: input === undefined && charged.source === 'reported' ? missingInput(hasOutput) : charged.source,
  };
}

function missingInput(hasOutput: boolean): UsageSource {
  return hasOutput ? 'measured' : 'estimated';
}

interface InputAndOutput {
  readonly input: number | undefined;
  readonly output: number | undefined;
}

/**
 * Compares the total with its parts. Some servers leave tokens of reasoning out of the output and count them in the
 * total only: what the total has more is output. A total that is too low is ignored.
 */
function matchTotal(
  { input, output, total }: ReportedFigures,
  hasOutput: boolean,
  violations: Set<UsageViolation>,
): InputAndOutput {
  if (total === undefined) return { input, output };
  if (!hasOutput) {
    if (input !== undefined && input !== total) violations.add('total_mismatch');
    return { input: Math.max(input ?? 0, total), output };
  }
  if (input === undefined && output === undefined) return { input, output };
  if (input === undefined) return { input: Math.max(total - (output ?? 0), 0), output };
  if (output === undefined) return { input, output: Math.max(total - input, 0) };
  if (total !== input + output) violations.add('total_mismatch');
  return { input, output: Math.max(output, total - input) };
}

interface ChargedOutput {
  readonly tokens: number;
  readonly source: UsageSource;
}

function outputOf(reported: number | undefined, evidence: Evidence): ChargedOutput {
  const { delivered, isComplete, estimate, violations } = evidence;
  if (reported === undefined) {
    // A complete response without any text may have output of another kind, so the estimate stands.
    return delivered.isCounted && (delivered.bytes > 0 || !isComplete)
      ? { tokens: delivered.tokens, source: 'measured' }
      : { tokens: Math.max(delivered.tokens, estimate['output_tokens'] ?? 0), source: 'estimated' };
  }
  if (!isComplete) return { tokens: Math.max(reported, delivered.tokens), source: 'measured' };
  if (delivered.bytes > reported * tokenBytesMax) {
    violations.add('output_below_delivered');
    return { tokens: Math.max(reported, delivered.tokens), source: 'measured' };
  }
  return { tokens: reported, source: 'reported' };
}
