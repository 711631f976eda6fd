/** Members that limit the output of a call. An upstream may honour the names of another API too. */
export const limitNames: ReadonlySet<string> = new Set([
  'max_tokens',
  'max_completion_tokens',
  'max_output_tokens',
  'max_tokens_to_sample',
]);

/** Members that multiply the output. */
export const factorNames: ReadonlySet<string> = new Set(['n', 'best_of']);

/** Members that refer to input which the upstream stored. */
export const storedNames: ReadonlySet<string> = new Set(['previous_response_id', 'conversation']);

/**
 * The name of a member as servers read it that ignore case: some JSON libraries, Go's for example, do, and also treat
 * `ſ` (U+017F) as `s` and `K` (U+212A) as `k`.
 */
export function foldName(name: string): string {
  return name.toUpperCase().toLowerCase();
}

/**
 * The number that a server may read from a limit; null if it sets no limit. Some servers convert texts to numbers, and
 * read 0 or a negative number as "no limit".
 */
export function limitOf(text: string): number | null {
  const number = Number(text.trim().replaceAll('_', ''));
  return Number.isFinite(number) && number > 0 ? Math.min(Math.ceil(number), Number.MAX_SAFE_INTEGER) : null;
}
