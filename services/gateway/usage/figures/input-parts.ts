import type { UsageViolation } from '../call-usage.ts';

export interface InputParts {
  readonly input: number | undefined;
  readonly cached: number | undefined;
  readonly cacheWrite: number | undefined;
}

/**
 * Drops the cached parts of the input if their sum is more than the input, which is then at least that sum. Cached
 * tokens are cheaper, and a contradictory report gives no discount.
 */
export function checkInputParts(parts: InputParts, violations: Set<UsageViolation>): InputParts {
  const { input, cached, cacheWrite } = parts;
  const sum = (cached ?? 0) + (cacheWrite ?? 0);
  if (input === undefined) return { input, cached: undefined, cacheWrite: undefined };
  if (sum <= input) return parts;
  violations.add('cached_exceeds_input');
  return { input: sum, cached: undefined, cacheWrite: undefined };
}

/** The parts as measures, without those that are unknown. */
export function measuresOfParts({ input, cached, cacheWrite }: InputParts): Record<string, number> {
  return {
    ...(input !== undefined && { input_tokens: input }),
    ...(cached !== undefined && { cached_input_tokens: cached }),
    ...(cacheWrite !== undefined && { cache_write_input_tokens: cacheWrite }),
  };
}
