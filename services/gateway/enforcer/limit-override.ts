import type { Limit, Per } from '../../../shared/domain/limit.ts';
import { requestsName } from '../../../shared/domain/usage/quantity.ts';
import type { ApplicableLimits } from '../../../shared/policy/match.ts';

/** A limit that a trusted caller sends with a request. It replaces the limits of the plan. */
export interface LimitOverride {
  readonly per: Per;
  /** Units allowed in any span of `windowMs`. */
  readonly limit: number;
  readonly windowMs: number;
}

/**
 * Name of every overriding limit. Because of its dot, it differs from all names of limits in a policy, so an override
 * shares no window with a limit of the policy.
 */
const overrideName = 'envoy.override';
/**
 * Maximum number of cached overrides of one set of limits. The windows of other overrides have to be compiled again.
 */
const overridesMax = 200;

const overriddenOf = new WeakMap<readonly Limit[], Map<string, ApplicableLimits>>();

/**
 * Replaces the plan's limits of a request with one sliding window; the limits of the route and of the platform stay.
 * Returns the same object for the same override of the same limits, so that its windows are compiled once.
 */
export function withOverride(base: ApplicableLimits, override: LimitOverride): ApplicableLimits {
  const key = `${override.per} ${override.limit} ${override.windowMs}`;
  let overridden = overriddenOf.get(base.limits);
  if (overridden === undefined)
    overriddenOf.set(base.limits, (overridden = new Map<string, ApplicableLimits>()));
  let applicable = overridden.get(key);
  if (applicable === undefined) {
    if (overridden.size >= overridesMax) overridden.clear();
    overridden.set(key, (applicable = replacePlanLimits(base, override)));
  }
  return applicable;
}

function replacePlanLimits(
  { plan, limits }: ApplicableLimits,
  { per, limit, windowMs }: LimitOverride,
): ApplicableLimits {
  const window: Limit = {
    name: overrideName,
    of: requestsName,
    per: [per],
    type: 'sliding',
    limit,
    windowMs,
    period: null,
    burst: 0,
    mode: 'enforce',
    route: null,
  };
  return { plan: { ...plan, limits: [window] }, limits: [window, ...limits.slice(plan.limits.length)] };
}
