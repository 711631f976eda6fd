import type { Measures } from '../../../../shared/domain/usage/measures.ts';
import type { Evidence, Judgement } from './evidence.ts';
import { checkInputParts, measuresOfParts } from './input-parts.ts';

/**
 * Decides which measures count if the policy names them: those that the upstream reported. The estimate stands for
 * measures that were not reported.
 */
export function judgeMeasures(
  reported: ReadonlyMap<string, number | undefined>,
  { estimate, violations }: Evidence,
): Judgement {
  const values: Record<string, number> = {};
  let missing = 0;
  for (const [name, value] of reported) {
    if (value === undefined) missing += 1;
    const measure = value ?? estimate[name];
    if (measure !== undefined) values[name] = measure;
  }
  if (missing > 0) violations.add(missing === reported.size ? 'no_report' : 'partial_report');
  return { measures: checkParts(values, violations), source: missing === 0 ? 'reported' : 'estimated' };
}

function checkParts(values: Measures, violations: Evidence['violations']): Measures {
  const {
    input_tokens: input,
    cached_input_tokens: cached,
    cache_write_input_tokens: cacheWrite,
    ...others
  } = values;
  if (input === undefined) return values;
  return { ...others, ...measuresOfParts(checkInputParts({ input, cached, cacheWrite }, violations)) };
}
