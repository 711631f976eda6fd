import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/**
 * Maximum number of lines per second of one kind. It is high enough to see what happens, and low enough that a flood of
 * requests does not overload the disk.
 */
const linesPerSecondMax = 50;

export type BoundedLog = (fields: () => object, text: string) => void;

/**
 * Creates a function that logs warnings, at most `linesPerSecondMax` per second. For each line above this bound
 * `onSuppressed` is called, and the next written line states their number in `suppressed_before`. `fields` is called
 * only for lines that are written.
 */
export function createBoundedLog(logger: Logger, clock: Clock, onSuppressed: () => void): BoundedLog {
  let second = 0;
  let lines = 0;
  let suppressed = 0;
  return (fields, text) => {
    const nowSecond = Math.floor(clock.now() / 1000);
    if (nowSecond !== second) [second, lines] = [nowSecond, 0];
    if (++lines > linesPerSecondMax) {
      suppressed += 1;
      onSuppressed();
      return;
    }
    logger.warn(suppressed === 0 ? fields() : { ...fields(), suppressed_before: suppressed }, text);
    suppressed = 0;
  };
}

/**
 * Logs a limit hit with caller, address, route and decision id. A limit hit also has a usage event, even if its line is
 * suppressed.
 */
export function logLimitHit(log: BoundedLog, { decision, identity, plan, route, method }: Verdict): void {
  log(
    () => ({
      decision: decision.id,
      outcome: decision.outcome,
      reason: decision.reason,
      limited_by: decision.limitedBy,
      tenant: identity.tenantId,
      user: identity.userId,
      ip: identity.ip,
      plan: plan.name,
      method,
      route: route?.match ?? '*',
      retry_after_ms: decision.retryAfterMs,
      degraded: decision.degraded,
    }),
    decision.outcome === 'shadow_limited' ? 'limit hit in shadow' : 'limit hit',
  );
}
