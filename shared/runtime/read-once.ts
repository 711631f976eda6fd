/**
 * Returns a read for a page on which several parts show the same: the first call reads, and every later call returns the result of the
 * first one, whatever its arguments.
 */
export function readOnce<Args extends readonly unknown[], Value>(
  read: (...args: Args) => Promise<Value>,
): (...args: Args) => Promise<Value> {
  let first: Promise<Value> | null = null;
  return (...args) => (first ??= read(...args));
}
