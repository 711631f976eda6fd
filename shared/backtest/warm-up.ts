import type { ClickHouseReader } from '../clickhouse/client.ts';
import type { RecordedEvent } from '../clickhouse/queries/recorded/recorded-events.ts';
import { readUsageBefore } from '../clickhouse/queries/recorded/usage-before.ts';
import type {
  UsageBefore,
  UsageBeforeQuery,
  UsageFields,
} from '../clickhouse/queries/recorded/usage-before.ts';
import type { Limit } from '../domain/limit.ts';
import type { Policy, Route } from '../domain/policy.ts';
import { limitsOf } from '../policy/limits-of.ts';
import { divideRange } from './read-in-order.ts';

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
export function allLimits(policy: Policy): readonly Limit[] {
  return [...limitsOf(policy), ...policy.platform, ...[...policy.groups.values()].flat()];
}

/** The fields of requests that have an effect on the quotas of these policies. Without a field, more requests are equal. */
export function quotaFields(policies: readonly Policy[]): UsageFields {
  const quotas = policies.flatMap(allLimits).filter(({ type }) => type === 'quota');
  const hasEffect = ({ exempt, cost, messageCost, charge, usage }: Route): boolean =>
    exempt || cost !== 1 || messageCost !== null || charge !== null || usage !== null;
  return {
    user: quotas.some(({ per }) => per.includes('user')),
    ip:
      quotas.some(({ per }) => per.includes('ip')) || policies.some((one) => one.exemptAddresses.length > 0),
    path: quotas.some(({ route }) => route !== null) || policies.some((one) => one.routes.some(hasEffect)),
    attributes: policies.some((one) => one.countsAttributes),
  };
}

/** Events of one query. Their groups are in memory at once: at most as many as events, about 500 bytes each. */
const eventsPerQuery = 100_000;

/** Reads the usage before a range in parts, as one event for each group of equal requests. */
export async function* readUsageParts(
  clickhouse: ClickHouseReader,
  query: UsageBeforeQuery,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly { readonly event: RecordedEvent; readonly requests: number }[]> {
  if (query.fromMs >= query.toMs) return;
  const { ranges } = await divideRange(clickhouse, query, signal, eventsPerQuery);
  for (const range of ranges) {
    const options = signal === undefined ? {} : { signal };
    const groups = await readUsageBefore(clickhouse, { ...query, ...range }, options);
    yield groups.map(({ requests, ...group }) => ({ event: eventOf(group), requests }));
  }
}

/** An event with the sum of the amounts of all requests, so that no amount is rounded for each request. */
function eventOf({ quantities, ...group }: Omit<UsageBefore, 'requests'>): RecordedEvent {
  const used = Object.keys(quantities).length === 0 ? null : quantities;
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
