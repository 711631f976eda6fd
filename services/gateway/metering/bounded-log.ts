import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/** Lines a second of one kind: enough to see what happens, too few to overload a disk in a flood of requests. */
const linesPerSecondMax = 50;

export type BoundedLog = (fields: () => object, text: string) => void;

/**
 * Warns up to a bound a second. Beyond it `onSuppressed` is called for each line that is not written, and the next line
 * has their number. `fields` is only called for a line that is written.
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
 * Logs a limit hit: caller, address, route and the decision's id. Every hit has an event, also where no line is
 * written.
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
