import { TollgateError } from '../../shared/runtime/errors.ts';

/** Raises in flight at once: enough to hide the round trip, few enough to leave Redis free for checks. */
const raisesMax = 200;

/** Raises all counters. One that no counter holds is `refused`, and keeps no other from being raised. */
export async function raiseAll<Reading>(
  readings: readonly Reading[],
  raise: (reading: Reading) => Promise<void>,
  refused: (reading: Reading, error: TollgateError) => void,
): Promise<void> {
  const raiseOrRefuse = async (reading: Reading): Promise<void> => {
    try {
      await raise(reading);
    } catch (error) {
      if (!(error instanceof TollgateError) || error.code !== 'REDIS_VALUE_REFUSED') throw error;
      refused(reading, error);
    }
  };
  for (let from = 0; from < readings.length; from += raisesMax) {
    await Promise.all(readings.slice(from, from + raisesMax).map(raiseOrRefuse));
  }
}
