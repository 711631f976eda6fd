import type { Policy } from '../../domain/policy.ts';
import type { TenantRecord } from '../../domain/tenant.ts';
import type { Limiter } from '../../redis/decision/limiter.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import { readLiveUsage } from '../live-usage.ts';
import type { LimitStatus } from '../live-usage.ts';
import type { ListedTenant } from './list.ts';

/**
 * Of the limits that count all usage of a tenant, the one with the highest used share. Null if the tenant has no
 * such limit; undefined if Redis did not answer.
 */
export type FullestLimit = LimitStatus | null | undefined;

export interface LimitShareSources {
  readonly limiter: Pick<Limiter, 'check'>;
  readonly policy: () => Policy;
  readonly directory: { get(tenantId: string): TenantRecord | undefined };
  readonly clock: Clock;
}

/** Tenants read at the same time, so that a long list does not delay the decisions of gateways in Redis. */
const concurrentMax = 100;
/** Largest number of tenants whose limits one list reads. */
export const sharesMax = 5_000;

/** The fullest limit of each tenant now, read from Redis. Reading stops as soon as Redis does not answer. */
export async function readFullestLimits(
  sources: LimitShareSources,
  tenants: readonly ListedTenant[],
): Promise<ReadonlyMap<string, FullestLimit>> {
  const found = new Map<string, FullestLimit>();
  for (let from = 0; from < Math.min(tenants.length, sharesMax); from += concurrentMax) {
    const some = tenants.slice(from, Math.min(from + concurrentMax, sharesMax));
    const limits = await Promise.all(some.map((tenant) => fullestOf(sources, tenant)));
    some.forEach(({ tenant_id: id }, index) => found.set(id, limits[index]));
    if (limits.includes(undefined)) break;
  }
  return found;
}

/** Used share of a limit: 1 for a limit of zero units. */
export function shareOf(limit: FullestLimit): number | null {
  if (limit === null || limit === undefined) return null;
  return limit.limit === 0 ? 1 : limit.used / limit.limit;
}

async function fullestOf(
  { limiter, policy, directory, clock }: LimitShareSources,
  { tenant_id: id, plan }: ListedTenant,
): Promise<FullestLimit> {
  const record = directory.get(id) ?? null;
  const live = await readLiveUsage(limiter, policy(), record, id, plan, clock.now());
  if (live === null) return undefined;
  return live.live.limits.toSorted((a, b) => (shareOf(b) ?? 0) - (shareOf(a) ?? 0))[0] ?? null;
}
