import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/** Lines a second of one kind: enough to see what happens, too few to drown a disk when somebody floods. */
const linesPerSecondMax = 50;

export type BoundedLog = (fields: () => object, text: string) => void;

/**
 * Warns up to a bound a second. Beyond it `suppressed` is called for each line that is not written, and the next line
 * says how many there were. `fields` is only built for a line that is.
 */
export function createBoundedLog(logger: Logger, clock: Clock, suppressed: () => void): BoundedLog {
  let second = 0;
  let lines = 0;
  let held = 0;
  return (fields, text) => {
    const now = Math.floor(clock.now() / 1000);
    if (now !== second) [second, lines] = [now, 0];
    if (++lines > linesPerSecondMax) {
      held += 1;
      suppressed();
      return;
    }
    logger.warn(held === 0 ? fields() : { ...fields(), suppressed_before: held }, text);
    held = 0;
  };
}

/** One line per limit hit: who, from where, at what, and the decision's id. Every hit is an event in any case. */
export function logHit(log: BoundedLog, { decision, identity, plan, route, method }: Verdict): void {
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
