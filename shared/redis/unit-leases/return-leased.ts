import { setTimeout as wait } from 'node:timers/promises';
import type { Clock } from '../../runtime/time/clock.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { RedisClient } from '../client.ts';
import { returnScript } from '../decision/refund.ts';
import type { ServerBreakers } from '../fallback/server-breakers.ts';
import { runScript } from '../scripts.ts';
import type { UnspentUnits } from './unit-lease.ts';

export interface ReturnLeasedOptions {
  readonly redis: RedisClient;
  readonly breakerOf: ServerBreakers['of'];
  readonly redisTime: Clock | undefined;
  readonly epochMs: () => number;
  readonly logger: Logger;
}

/** Longest wait for a circuit breaker that is open. A server that is away for longer may have lost the units. */
const waitMsMax = 1_000;
const waitIntervalMs = 50;

/**
 * Returns the units of a lease that were not spent to the windows that count them. While the circuit breaker is open for a moment,
 * it waits. If Redis does not reply, the units stay charged until they leave the windows, which is too strict. Resolves with whether
 * Redis replied.
 */
export async function returnLeased(
  { redis, breakerOf, redisTime, epochMs, logger }: ReturnLeasedOptions,
  { subject, shape, units, storedAtMs, epoch }: UnspentUnits,
): Promise<boolean> {
  const keys = shape.windows.map(() => subject.key);
  const fields = shape.windows.flatMap(({ field, period, spanMs }) => [
    units,
    field,
    period === null ? spanMs : 0,
  ]);
  const args = [redisTime?.now() ?? '', epochMs(), storedAtMs, epoch, ...fields];
  const breaker = breakerOf(subject.tag);
  const until = performance.now() + waitMsMax;
  while (breaker.isOpen() && performance.now() < until) await wait(waitIntervalMs, null, { ref: false });
  try {
    await breaker.run(() => runScript(redis, returnScript, keys, args));
    return true;
  } catch (error) {
    logger.debug({ reason: messageOf(error) }, 'units of a lease could not be returned');
    return false;
  }
}
