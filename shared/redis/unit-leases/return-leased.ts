import { randomInt } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import { replyWithin } from '../client.ts';
import { returnUnitsOf } from '../decision/return-units.ts';
import type { ReturnUnitsOptions } from '../decision/return-units.ts';
import type { ServerBreakers } from '../fallback/server-breakers.ts';
import type { UnspentUnits } from './unit-lease.ts';

export interface ReturnLeasedOptions extends ReturnUnitsOptions {
  readonly breakerOf: ServerBreakers['of'];
  readonly logger: Logger;
}

/** Longest wait for a circuit breaker that is open. A server that is away for longer may have lost the units. */
const waitMsMax = 1_000;
/** Many leases may wait at once: each wait is random, so that their calls do not arrive together. */
const waitIntervalMs = { least: 100, most: 300 };
const callTimeoutMs = 1_000;

/**
 * Returns the units of a lease that were not spent to the windows that count them. While the circuit breaker is open for a moment,
 * it waits. If Redis does not reply, the units stay charged until they leave the windows, which is too strict. Resolves with whether
 * Redis replied.
 */
export async function returnLeased(
  options: ReturnLeasedOptions,
  { subject, shape, units, storedAtMs, epoch }: UnspentUnits,
): Promise<boolean> {
  const breaker = options.breakerOf(subject.tag);
  const until = performance.now() + waitMsMax;
  const { least, most } = waitIntervalMs;
  while (breaker.isOpen() && performance.now() < until) {
    await wait(randomInt(least, most), null, { ref: false });
  }
  if (breaker.isOpen()) return false;
  try {
    // Not by the breaker: a return that is late must not open it.
    const { key } = subject;
    const returns = shape.windows.map((window) => ({ key, epochKey: key, window, units }));
    await replyWithin(returnUnitsOf(options, returns, { storedAtMs, epoch }), callTimeoutMs);
    return true;
  } catch (error) {
    options.logger.debug({ reason: messageOf(error) }, 'units of a lease could not be returned');
    return false;
  }
}
