import type { ClickHouseReader } from '../clickhouse/client.ts';
import type { RecordedEvent, RecordedEventsQuery } from '../clickhouse/queries/recorded/recorded-events.ts';
import { readUsageBefore } from '../clickhouse/queries/recorded/usage-before.ts';
import type { UsageBefore } from '../clickhouse/queries/recorded/usage-before.ts';
import type { Limit } from '../domain/limit.ts';
import type { Policy } from '../domain/policy.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** Longest duration of a period, in any calendar. */
const periodMsMax = {
  hour: hourMs,
  day: dayMs + hourMs,
  week: 7 * dayMs + hourMs,
  month: 31 * dayMs + hourMs,
};
/** Longest time before the range of which single events are read. */
export const warmUpMsMax = 7 * dayMs;

/** How much of the time before a range has an effect on its counters. */
export interface WarmUp {
  /** Of sliding windows: single events. */
  readonly slidingMs: number;
  /** Of quotas: sums of quarters of an hour. */
  readonly quotaMs: number;
  /** Whether a window is longer than `warmUpMsMax`. */
  readonly isCut: boolean;
}

export function warmUpOf(policies: readonly Policy[]): WarmUp {
  const limits = policies.flatMap(allLimits);
  const wantedMs = Math.max(
    0,
    ...limits.map(({ type, windowMs, burst }) =>
      type !== 'sliding' ? 0 : burst > 0 ? 11 * windowMs : windowMs,
    ),
  );
  const quotaMs = Math.max(
    0,
    ...limits.map(({ period, carryOver }) =>
      period === null ? 0 : periodMsMax[period] * (carryOver === undefined ? 1 : 2),
    ),
  );
  return { slidingMs: Math.min(wantedMs, warmUpMsMax), quotaMs, isCut: wantedMs > warmUpMsMax };
}

/** All limits of a policy that requests are charged to. */
export function allLimits({ plans, routes, platform, groups }: Policy): readonly Limit[] {
  return [
    ...[...plans.values()].flatMap(({ limits }) => limits),
    ...routes.flatMap(({ limits, limitsByPlan }) => [
      ...limits,
      ...[...(limitsByPlan?.values() ?? [])].flat(),
    ]),
    ...platform,
    ...[...groups.values()].flat(),
  ];
}

/** Reads the usage before a range day by day, as one event for each group of equal requests. */
export async function* readUsageDays(
  clickhouse: ClickHouseReader,
  query: RecordedEventsQuery,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly { readonly event: RecordedEvent; readonly requests: number }[]> {
  for (let fromMs = query.fromMs; fromMs < query.toMs; fromMs += dayMs) {
    const toMs = Math.min(query.toMs, fromMs + dayMs);
    const groups = await readUsageBefore(
      clickhouse,
      { ...query, fromMs, toMs },
      signal === undefined ? {} : { signal },
    );
    yield groups.map((group) => ({ event: eventOf(group), requests: group.requests }));
  }
}

function eventOf({ requests, quantities, ...group }: UsageBefore): RecordedEvent {
  // The sum of the amounts is divided among the requests again when they are charged.
  const amounts = Object.fromEntries(
    Object.entries(quantities).map(([name, amount]) => [name, amount / BigInt(requests)]),
  );
  const used = Object.keys(amounts).length === 0 ? null : amounts;
  return {
    ...group,
    decidedAtMs: group.timeMs,
    isTimeExact: false,
    limitedBy: [],
    cost: 0n,
    latencyMs: 0,
    checkMicros: 0,
    degraded: false,
    policyRevision: '',
    reserved: used,
    quantities: used,
  };
}
