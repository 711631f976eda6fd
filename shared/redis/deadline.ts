import { TollgateError, messageOf } from '../runtime/errors.ts';

/** What a decision waits for Redis unless told otherwise: with what else it takes a request loses no 50 ms. */
export const callTimeoutMsDefault = 35;

/** The call's value, or REDIS_UNAVAILABLE when it fails or takes longer. A call that is too late may still have run. */
export async function within<T>(call: Promise<T>, timeoutMs: number): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new TollgateError('REDIS_UNAVAILABLE', `Redis did not answer within ${timeoutMs} ms`));
  }, timeoutMs);
  try {
    return await Promise.race([call, promise]);
  } catch (error) {
    if (error instanceof TollgateError) throw error;
    throw new TollgateError('REDIS_UNAVAILABLE', messageOf(error), { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
