import type { LimitState } from '../domain/limit.ts';
import type { Policy } from '../domain/policy.ts';
import { calendarOf } from '../domain/quota.ts';
import type { TenantRecord } from '../domain/tenant.ts';
import type { Limiter } from '../redis/decision/limiter.ts';
import { blockNow } from './block.ts';
import { limitsOfTenant, unitsUsed } from './limits.ts';
import type { TenantLimit, TenantLimits } from './limits.ts';

/** A limit that counts all usage of the tenant, with its state in Redis. */
export interface LimitStatus {
  readonly name: string;
  readonly route: string | null;
  readonly limit: number;
  readonly used: number;
  readonly remaining: number;
  /** Unix seconds at which all units of the limit are available again. */
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
  /**
   * True if a request would be refused now, by an operator's block or by an enforced limit of all usage of the
   * tenant.
   */
  readonly blocked: boolean;
  /** End of the block, ISO 8601; null if the tenant is not blocked or the end is unknown. */
  readonly blocked_until: string | null;
  /** What blocks the tenant: `operator`, or the names of the exceeded limits. */
  readonly blocked_by: readonly string[];
}

export interface LiveUsage {
  readonly live: LiveStatus;
  readonly limits: TenantLimits;
  /** The limits of `limits.shared` with their states in Redis, in the same order. */
  readonly states: readonly SharedLimitState[];
}

export interface SharedLimitState {
  readonly held: TenantLimit;
  readonly state: LimitState;
}

/**
 * Reads the state of every limit that counts all usage of the tenant. It peeks, so it consumes no units. Returns null
 * if Redis did not answer: a gateway would then decide without Redis, but usage is unknown.
 */
export async function readLiveUsage(
  limiter: Pick<Limiter, 'check'>,
  policy: Policy,
  record: TenantRecord | null,
  tenantId: string,
  seenPlan: string | null,
  nowMs: number,
): Promise<LiveUsage | null> {
  const limits = limitsOfTenant(policy, record, seenPlan, nowMs);
  const states = await readLimitStates(limiter, tenantId, record, limits.shared);
  return states === null ? null : { live: summarize(limits.plan, states, record, nowMs), limits, states };
}

/**
 * Reads the states, with their use, of limits that count all usage of the tenant or of its group. Returns null if Redis did
 * not answer.
 */
export async function readLimitStates(
  limiter: Pick<Limiter, 'check'>,
  tenantId: string,
  record: TenantRecord | null,
  shared: readonly TenantLimit[],
): Promise<SharedLimitState[] | null> {
  const { states, degraded } = await limiter.check({
    tenantId,
    userId: null,
    ip: '127.0.0.1',
    groupId: record?.group ?? null,
    limits: shared.map(({ limit }) => limit),
    cost: 1,
    peek: true,
    withUse: true,
    calendar: calendarOf(record),
  });
  if (degraded) return null;
  return shared.flatMap((held, index) => {
    const state = states[index];
    return state === undefined ? [] : [{ held, state }];
  });
}

function summarize(
  plan: string,
  states: LiveUsage['states'],
  record: TenantRecord | null,
  nowMs: number,
): LiveStatus {
  const byOperator = blockNow(record, nowMs);
  // A limit of one route refuses that route only and does not block the whole tenant.
  const full = states.filter(
    ({ held, state }) => state.violated && state.mode === 'enforce' && held.limit.route === null,
  );
  const ends = full.map(({ state }) => (state.retryAfterMs === null ? null : nowMs + state.retryAfterMs));
  if (byOperator !== null) ends.push(byOperator.until === null ? null : Date.parse(byOperator.until));
  const blocked = ends.length > 0;
  const known = ends.filter((end) => end !== null);
  return {
    plan,
    limits: states.map(limitStatus),
    blocked,
    blocked_until:
      blocked && known.length === ends.length ? new Date(Math.max(...known)).toISOString() : null,
    blocked_by: [...(byOperator === null ? [] : ['operator']), ...full.map(({ state }) => state.name)],
  };
}

function limitStatus({ held, state }: SharedLimitState): LimitStatus {
  return {
    name: state.name,
    route: held.limit.route,
    limit: state.limit,
    used: unitsUsed(state),
    remaining: state.remaining,
    reset: Math.ceil(state.resetAtMs / 1000),
    window_seconds: state.windowMs / 1000,
    burst: state.burst,
    blocked: state.violated && state.mode === 'enforce',
    retry_after_seconds: state.retryAfterMs === null ? null : Math.ceil(state.retryAfterMs / 1000),
    mode: state.mode,
  };
}
