import { runningBoosts } from '../domain/boost.ts';
import type { Policy } from '../domain/policy.ts';
import type { TenantDirectory } from '../kafka/tables/tenant-directory.ts';
import type { Limiter } from '../redis/decision/limiter.ts';
import { calendarOf } from '../domain/quota.ts';
import type { Clock } from '../runtime/time/clock.ts';
import { readLiveUsage } from './live-usage.ts';
import type { LiveStatus } from './live-usage.ts';
import { rejection, success } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import type { UsageReader } from './usage-reader.ts';

export interface TenantStatus extends LiveStatus {
  readonly tenant_id: string;
  /**
   * Units in the last minute, according to the tenant's one-minute limit. Without that limit: recorded requests in
   * the last minute.
   */
  readonly requests_this_minute: number;
  /** The larger of two figures: recorded requests since midnight, and the counter of the daily quota. */
  readonly requests_today: number;
  /** For each limit, by name: ISO 8601 time at which all its units are available again. */
  readonly resets: Readonly<Record<string, string>>;
  readonly boosts: readonly object[];
  readonly complete_through: string | null;
  readonly as_of: string;
}

export interface StatusSources {
  readonly limiter: Pick<Limiter, 'check'>;
  readonly usage: UsageReader;
  readonly policy: () => Policy;
  readonly directory: Pick<TenantDirectory, 'get'>;
  readonly clock: Clock;
}

/** Status of a tenant. Current usage is read from Redis, totals of the day from ClickHouse. */
export async function tenantStatus(
  { limiter, usage, policy, directory, clock }: StatusSources,
  tenantId: string,
): Promise<Outcome<TenantStatus>> {
  const nowMs = clock.now();
  const record = directory.get(tenantId) ?? null;
  const seenPlan = record?.plan === undefined ? await usage.seenPlan(tenantId, nowMs) : null;
  const now = await readLiveUsage(limiter, policy(), record, tenantId, seenPlan, nowMs);
  if (now === null)
    return rejection(
      503,
      'Redis does not answer',
      'Gateways decide by themselves until it is back; try again then.',
    );
  const { live } = now;
  const ofAllRoutes = live.limits.filter((limit) => limit.route === null);
  const minute = ofAllRoutes.find((limit) => limit.window_seconds === 60);
  const [totals, completeThrough, thisMinute] = await Promise.all([
    usage.totals(tenantId, calendarOf(record), nowMs),
    usage.completeThrough(),
    minute?.used ?? usage.lastMinute(tenantId, nowMs),
  ]);
  const day = now.states.find(({ held }) => held.limit.period === 'day' && held.limit.route === null);
  const countedToday = ofAllRoutes.find((limit) => limit.name === day?.state.name)?.used ?? 0;
  return success({
    tenant_id: tenantId,
    requests_this_minute: thisMinute,
    requests_today: Math.max(totals.day.requests, countedToday),
    ...live,
    resets: Object.fromEntries(
      live.limits.map((limit) => [limit.name, new Date(limit.reset * 1000).toISOString()]),
    ),
    boosts: runningBoosts(record, nowMs),
    complete_through: completeThrough,
    as_of: new Date(nowMs).toISOString(),
  });
}
