import type { LimitState } from '../../../shared/domain/limit.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { blockNow } from './block.ts';
import { limitsOfTenant, usedOf } from './limits.ts';
import type { HeldLimit, HeldLimits } from './limits.ts';

/** A limit of the whole tenant, as Redis has it now. */
export interface LimitStatus {
  readonly name: string;
  readonly route: string | null;
  readonly limit: number;
  readonly used: number;
  readonly remaining: number;
  /** Unix seconds at which the whole limit is available again. */
  readonly reset: number;
  readonly window_seconds: number;
  readonly burst: number;
  readonly blocked: boolean;
  readonly retry_after_seconds: number | null;
  readonly mode: string;
}

export interface LiveStatus {
  readonly plan: string;
  readonly limits: readonly LimitStatus[];
  /** True when an operator's block or an enforced limit of the whole tenant would refuse a request now. */
  readonly blocked: boolean;
  /** ISO 8601; null when not blocked, or when nobody knows the end. */
  readonly blocked_until: string | null;
  /** `operator`, or names of limits. */
  readonly blocked_by: readonly string[];
}

export interface LiveUsage {
  readonly live: LiveStatus;
  readonly held: HeldLimits;
  /** The shared limits with what Redis says of each, in order. */
  readonly states: readonly { readonly held: HeldLimit; readonly state: LimitState }[];
}

/**
 * Looks at every limit of the whole tenant without taking anything. Null when Redis did not answer: the console then
 * says so, where a gateway would decide by itself.
 */
export async function liveUsage(
  limiter: Limiter,
  policy: Policy,
  record: TenantRecord | null,
  tenantId: string,
  seenPlan: string | null,
  nowMs: number,
): Promise<LiveUsage | null> {
  const held = limitsOfTenant(policy, record, seenPlan, nowMs);
  const result = await limiter.check({
    tenantId,
    userId: null,
    ip: '127.0.0.1',
    limits: held.shared.map(({ limit }) => limit),
    cost: 1,
    peek: true,
    ...(record?.time_zone === undefined ? {} : { timeZone: record.time_zone }),
  });
  if (result.degraded) return null;
  const states = held.shared.flatMap((one, index) => {
    const state = result.states[index];
    return state === undefined ? [] : [{ held: one, state }];
  });
  return { live: summary(held.plan, states, record, nowMs), held, states };
}

function summary(
  plan: string,
  states: LiveUsage['states'],
  record: TenantRecord | null,
  nowMs: number,
): LiveStatus {
  const byOperator = blockNow(record, nowMs);
  // A limit of one route refuses that route only; the tenant as a whole is not blocked by it.
  const full = states.filter(
    ({ held, state }) => state.violated && state.mode === 'enforce' && held.limit.route === null,
  );
  const ends = full.map(({ state }) => (state.retryAfterMs === null ? null : nowMs + state.retryAfterMs));
  if (byOperator !== null) ends.push(byOperator.until === null ? null : Date.parse(byOperator.until));
  const blocked = ends.length > 0;
  const known = ends.filter((end) => end !== null);
  return {
    plan,
    limits: states.map(({ held, state }) => ({
      name: state.name,
      route: held.limit.route,
      limit: state.limit,
      used: usedOf(state),
      remaining: state.remaining,
      reset: Math.ceil(state.resetAtMs / 1000),
      window_seconds: state.windowMs / 1000,
      burst: state.burst,
      blocked: state.violated && state.mode === 'enforce',
      retry_after_seconds: state.retryAfterMs === null ? null : Math.ceil(state.retryAfterMs / 1000),
      mode: state.mode,
    })),
    blocked,
    blocked_until:
      blocked && known.length === ends.length ? new Date(Math.max(...known)).toISOString() : null,
    blocked_by: [...(byOperator === null ? [] : ['operator']), ...full.map(({ state }) => state.name)],
  };
}
