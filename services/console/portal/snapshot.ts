import { withJsonCost } from '../../../shared/domain/money.ts';
import type { ConsoleParts } from '../console.ts';
import { readOrNull } from '../read-or-null.ts';
import { blockNow } from '../tenants/block.ts';
import { limitsOfTenant, usedOf } from '../tenants/limits.ts';
import { liveUsage } from '../tenants/status.ts';
import type { PeriodUse } from '../usage-reader.ts';

/** A limit as a page shows it and a script refreshes it. */
export interface ShownLimit {
  /** Stable between refreshes. */
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
  /** Ms until one more request would pass; 0 when it would now; null when it never would. */
  readonly retry_after_ms: number | null;
  readonly shadow: boolean;
  readonly boosted_until: string | null;
}

/** What the usage page shows. Parts that could not be read are null, never zero. */
export interface Snapshot {
  readonly plan: string;
  readonly limits: readonly ShownLimit[] | null;
  readonly today: PeriodUse | null;
  readonly complete_through: string | null;
  /** False when ClickHouse did not answer. */
  readonly freshness_known: boolean;
  readonly block: { readonly until: string | null; readonly reason: string } | null;
  readonly as_of_ms: number;
}

type Sources = Pick<
  ConsoleParts,
  'limiter' | 'usage' | 'policy' | 'directory' | 'clock' | 'metrics' | 'logger'
>;

export async function snapshotOf(parts: Sources, tenantId: string): Promise<Snapshot> {
  const { limiter, usage, policy, directory, clock, metrics } = parts;
  const nowMs = clock.now();
  const record = directory.get(tenantId) ?? null;
  const zone = record?.time_zone ?? 'UTC';
  const seenPlan =
    record?.plan === undefined ? await readOrNull(parts, usage.seenPlan(tenantId, nowMs)) : null;
  const [live, totals, completeThrough] = await Promise.all([
    liveUsage(limiter, policy(), record, tenantId, seenPlan, nowMs),
    readOrNull(parts, usage.totals(tenantId, zone, nowMs)),
    readOrNull(
      parts,
      usage.completeThrough().then((through) => ({ through })),
    ),
  ]);
  if (live === null) metrics.failedReads.inc({ store: 'redis' });
  const held = blockNow(record, nowMs);
  return {
    plan: limitsOfTenant(policy(), record, seenPlan, nowMs).plan,
    limits: live === null ? null : live.states.map((one) => shown(one)),
    today: totals?.day ?? null,
    complete_through: completeThrough?.through ?? null,
    freshness_known: completeThrough !== null,
    block: held === null ? null : { until: held.until, reason: held.reason },
    as_of_ms: nowMs,
  };
}

/** For `JSON.stringify`, which knows no bigint. */
export function jsonSnapshot(snapshot: Snapshot): object {
  return { ...snapshot, today: snapshot.today === null ? null : withJsonCost(snapshot.today) };
}

type State = NonNullable<Awaited<ReturnType<typeof liveUsage>>>['states'][number];

function shown({ held: { limit, boost }, state }: State): ShownLimit {
  return {
    key: `${limit.route ?? '*'} ${limit.name}`,
    name: limit.name,
    route: limit.route,
    limit: state.limit,
    used: usedOf(state),
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
