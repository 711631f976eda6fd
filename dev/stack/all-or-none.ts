/**
 * Waits for all, and throws the first failure. At that failure the others are told to give up through `failure`, and
 * are still waited for, so that whatever did start is known to whoever has to end it.
 */
export async function allOrNone<Values extends readonly unknown[]>(
  failure: AbortController,
  starts: { readonly [Index in keyof Values]: Promise<Values[Index]> },
): Promise<Values> {
  const reasons: unknown[] = [];
  const watch = (start: Promise<unknown>): Promise<unknown> =>
    start.catch((reason: unknown) => {
      reasons.push(reason);
      failure.abort(new Error('something else did not start'));
    });
  const values = await Promise.all(starts.map(watch));
  if (reasons.length > 0) throw reasons[0];
  return values as unknown as Values;
}
