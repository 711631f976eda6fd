import type { ConsoleParts } from '../console.ts';
import { done, refused } from '../problem.ts';
import type { Outcome } from '../problem.ts';
import { phaseOf } from './boosts.ts';
import { liveUsage } from './status.ts';
import type { LiveStatus } from './status.ts';

export interface TenantStatus extends LiveStatus {
  readonly tenant_id: string;
  /** Units in the last minute: of the tenant's one-minute limit, or where it has none the logged requests. */
  readonly requests_this_minute: number;
  /** Requests since midnight UTC, as far as they are logged, or the daily quota's counter where that is ahead. */
  readonly requests_today: number;
  /** ISO 8601 by limit name: when each limit is whole again. */
  readonly resets: Readonly<Record<string, string>>;
  readonly boosts: readonly object[];
  readonly complete_through: string | null;
  readonly as_of: string;
}

type Sources = Pick<ConsoleParts, 'limiter' | 'usage' | 'policy' | 'directory' | 'clock'>;

/** C3: everything support asks first. Live figures are Redis's, the day's are the usage log's. */
export async function tenantStatus(parts: Sources, tenantId: string): Promise<Outcome<TenantStatus>> {
  const { limiter, usage, policy, directory, clock } = parts;
  const nowMs = clock.now();
  const record = directory.get(tenantId) ?? null;
  const seenPlan = record?.plan === undefined ? await usage.seenPlan(tenantId, nowMs) : null;
  const [now, totals, completeThrough, lastMinute] = await Promise.all([
    liveUsage(limiter, policy(), record, tenantId, seenPlan, nowMs),
    usage.totals(tenantId, record?.time_zone ?? 'UTC', nowMs),
    usage.completeThrough(),
    usage.lastMinute(tenantId, nowMs),
  ]);
  if (now === null)
    return refused(
      503,
      'Redis does not answer',
      'Gateways decide by themselves until it is back; try again then.',
    );
  const { live } = now;
  const whole = live.limits.filter((limit) => limit.route === null);
  const minute = whole.find((limit) => limit.window_seconds === 60);
  const day = now.states.find(({ held }) => held.limit.period === 'day' && held.limit.route === null);
  const counted = whole.find((limit) => limit.name === day?.state.name)?.used ?? 0;
  return done({
    tenant_id: tenantId,
    requests_this_minute: minute?.used ?? lastMinute,
    requests_today: Math.max(totals.day.requests, counted),
    ...live,
    resets: Object.fromEntries(
      live.limits.map((limit) => [limit.name, new Date(limit.reset * 1000).toISOString()]),
    ),
    boosts: (record?.boosts ?? []).filter((boost) => phaseOf(boost, nowMs) === 'running'),
    complete_through: completeThrough,
    as_of: new Date(nowMs).toISOString(),
  });
}
