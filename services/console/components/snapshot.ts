import type { Policy } from '../../../shared/domain/policy.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { blockNow } from '../../../shared/tenants/block.ts';
import { limitsOfTenant, unitsUsed } from '../../../shared/tenants/limits.ts';
import { readLiveUsage } from '../../../shared/tenants/live-usage.ts';
import type { SharedLimitState } from '../../../shared/tenants/live-usage.ts';
import type { PeriodUse, UsageReader } from '../../../shared/tenants/usage-reader.ts';
import { readFreshness } from './freshness.ts';
import type { Freshness } from './freshness.ts';

/** A limit in the form in which a page shows it and a script refreshes it. */
export interface ShownLimit {
  /** Identifies the limit in the page. A refresh does not change it. */
  readonly key: string;
  readonly name: string;
  readonly route: string | null;
  readonly limit: number;
  readonly used: number;
  readonly remaining: number;
  readonly burst: number;
  readonly window_ms: number;
  readonly calendar: string | null;
  readonly reset_at_ms: number;
  /** Milliseconds until another request would pass; 0 if it would pass now; null if it never would. */
  readonly retry_after_ms: number | null;
  readonly shadow: boolean;
  readonly boosted_until: string | null;
}

/** Current usage of a tenant. A part that could not be read is null, not zero. */
export interface Snapshot extends Freshness {
  readonly plan: string;
  readonly limits: readonly ShownLimit[] | null;
  readonly today: PeriodUse | null;
  readonly block: { readonly until: string | null; readonly reason: string } | null;
  readonly as_of_ms: number;
}

export interface SnapshotSources {
  readonly limiter: Pick<Limiter, 'check'>;
  readonly usage: UsageReader;
  readonly policy: () => Policy;
  readonly directory: Pick<TenantDirectory, 'get'>;
  readonly clock: Clock;
  readonly reads: StoreReads;
}

export async function readSnapshot(sources: SnapshotSources, tenantId: string): Promise<Snapshot> {
  const { limiter, usage, policy, directory, clock, reads } = sources;
  const nowMs = clock.now();
  const record = directory.get(tenantId) ?? null;
  const zone = record?.time_zone ?? 'UTC';
  const seenPlan = record?.plan === undefined ? await reads.orNull(usage.seenPlan(tenantId, nowMs)) : null;
  const [live, totals, freshness] = await Promise.all([
    readLiveUsage(limiter, policy(), record, tenantId, seenPlan, nowMs),
    reads.orNull(usage.totals(tenantId, zone, nowMs)),
    readFreshness(sources),
  ]);
  if (live === null) reads.countFailure('redis');
  const block = blockNow(record, nowMs);
  return {
    plan: limitsOfTenant(policy(), record, seenPlan, nowMs).plan,
    limits: live === null ? null : live.states.map(shownLimit),
    today: totals?.day ?? null,
    ...freshness,
    block: block === null ? null : { until: block.until, reason: block.reason },
    as_of_ms: nowMs,
  };
}

function shownLimit({ held: { limit, boost }, state }: SharedLimitState): ShownLimit {
  return {
    key: `${limit.route ?? '*'} ${limit.name}`,
    name: limit.name,
    route: limit.route,
    limit: state.limit,
    used: unitsUsed(state),
    remaining: state.remaining,
    burst: state.burst,
    window_ms: state.windowMs,
    calendar: limit.period,
    reset_at_ms: state.resetAtMs,
    retry_after_ms: state.retryAfterMs,
    shadow: state.mode === 'shadow',
    boosted_until: boost?.ends_at ?? null,
  };
}
