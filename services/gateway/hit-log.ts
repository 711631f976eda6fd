import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { GatewayMetrics } from './metrics.ts';
import type { Verdict } from './verdict.ts';

/** Lines a second: enough to see what happens, too few to drown a disk when somebody floods. */
const linesPerSecondMax = 50;

/**
 * One line per limit hit: who, from where, at what, and the decision's id. Beyond the bound hits are counted, and
 * the next line says how many had none; every hit is an event in any case.
 */
export function createHitLog(
  logger: Logger,
  clock: Clock,
  metrics: GatewayMetrics,
): (verdict: Verdict) => void {
  let second = 0;
  let lines = 0;
  let suppressed = 0;
  return (verdict) => {
    const now = Math.floor(clock.now() / 1000);
    if (now !== second) [second, lines] = [now, 0];
    if (++lines > linesPerSecondMax) {
      suppressed += 1;
      metrics.hitLogsSuppressed.inc();
      return;
    }
    const { decision, identity, plan, route, method } = verdict;
    logger.warn(
      {
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
        ...(suppressed === 0 ? {} : { suppressed_before: suppressed }),
      },
      decision.outcome === 'shadow_limited' ? 'limit hit in shadow' : 'limit hit',
    );
    suppressed = 0;
  };
}
