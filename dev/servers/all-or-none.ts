/**
 * Waits until all starts have succeeded or failed. When one fails, aborts `failure`, so that the other starts stop,
 * and then throws the first error. When this function throws, no start is still running: the caller can stop every
 * process that was started.
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
