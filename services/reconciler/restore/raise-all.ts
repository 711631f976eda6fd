import { TollgateError } from '../../../shared/runtime/errors.ts';

/**
 * Largest number of calls to Redis in flight at once: large enough to hide the round trip, and small enough not to
 * delay checks.
 */
const raisesMax = 200;

/**
 * Raises the counter of each reading. Calls `onTooLarge` for a reading whose total is too large for a counter, and still raises
 * all other counters. Rejects with any other error.
 */
export async function raiseAll<Reading>(
  readings: readonly Reading[],
  raise: (reading: Reading) => Promise<void>,
  onTooLarge: (reading: Reading, error: TollgateError) => void,
): Promise<void> {
  const raiseIfItFits = async (reading: Reading): Promise<void> => {
    try {
      await raise(reading);
    } catch (error) {
      if (!(error instanceof TollgateError) || error.code !== 'REDIS_VALUE_REFUSED') throw error;
      onTooLarge(reading, error);
    }
  };
  for (let from = 0; from < readings.length; from += raisesMax) {
    await Promise.all(readings.slice(from, from + raisesMax).map(raiseIfItFits));
  }
}
