import type { ConsoleParts } from './console.ts';
import { storeOf } from './store-of.ts';

/**
 * One read of a page: null when the store behind it did not answer, so that the rest of the page still shows and the
 * missing part says that it is missing. Anything but a store's failure is a fault and goes up.
 */
export async function readOrNull<Value>(
  { metrics, logger }: Pick<ConsoleParts, 'metrics' | 'logger'>,
  read: Promise<Value>,
): Promise<Value | null> {
  try {
    return await read;
  } catch (error) {
    const store = storeOf(error);
    if (store === null) throw error;
    metrics.failedReads.inc({ store });
    logger.warn({ err: error }, 'a part of a page cannot be read');
    return null;
  }
}
