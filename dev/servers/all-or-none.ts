/**
 * Waits for all starts. If one fails, aborts `failure`, so that the others stop starting, waits for them too, and throws
 * the first reason: every process that did start is then known to the code that has to stop it.
 */
export async function allOrNone<Values extends readonly unknown[]>(
  failure: AbortController,
  starts: { readonly [Index in keyof Values]: Promise<Values[Index]> },
): Promise<Values> {
  const reasons: unknown[] = [];
  const watch = (start: Promise<unknown>): Promise<unknown> =>
    start.catch((reason: unknown) => {
      reasons.push(reason);
      failure.abort(new Error('another process did not start'));
    });
  const values = await Promise.all(starts.map(watch));
  if (reasons.length > 0) throw reasons[0];
  return values as unknown as Values;
}
