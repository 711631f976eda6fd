import { hash, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';

/** The distinct combinations of type, plan and route that each tenant published to this node on the current UTC day. */
export interface EventGroups {
  /** Adds the event's group to those of its tenant. Returns null, or why the event is rejected. */
  add(event: UsageCloudEvent, nowMs: number): string | null;
}

/**
 * Maximum number of groups that a tenant may publish in one day. Stored totals have one row per group, and for each
 * batch of events the aggregator computes all groups of a tenant's day again, so this maximum bounds the cost of a
 * batch. An API has a few hundred routes at most.
 */
export const groupsOfTenantMax = 1_000;
/** Maximum number of groups in memory, about 50 MB. Tenants whose last event is the oldest are evicted first. */
const groupsMax = 1_000_000;
/** Memory of a tenant's entry without its groups, as a multiple of the memory of one group. */
const groupsOfTenantEntry = 10;

const dayMs = 86_400_000;

/**
 * Bounds the number of groups that published events add to a tenant's totals, regardless of whether the tenant or a
 * service publishes them.
 */
export function createEventGroups(): EventGroups {
  // Because of this random salt, a publisher cannot choose routes whose short hashes are equal.
  const salt = randomBytes(16).toString('base64');
  const byTenant = new LRUCache<string, Set<number>>({
    maxSize: groupsMax,
    sizeCalculation: (groups) => groupsOfTenantEntry + groups.size,
  });
  let day = -1;
  return { add };

  function add(event: UsageCloudEvent, nowMs: number): string | null {
    startDay(Math.floor(nowMs / dayMs));
    const groups = byTenant.get(event.subject) ?? new Set();
    const group = groupOf(event, salt);
    if (groups.has(group)) return null;
    if (groups.size >= groupsOfTenantMax) return tooManyGroups;
    groups.add(group);
    // The cache computes the size of new entries only, so the entry is deleted before it is set again.
    byTenant.delete(event.subject);
    byTenant.set(event.subject, groups);
    return null;
  }

  function startDay(today: number): void {
    // A batch that arrived before midnight may be validated after a batch of the new day: its groups are
    // counted with the new day.
    if (today === day || today === day - 1) return;
    byTenant.clear();
    day = today;
  }
}

const tooManyGroups =
  `the tenant published ${groupsOfTenantMax} different combinations of type, data.plan and data.route today (UTC) and this is one ` +
  'more; leave ids out of data.route, e.g. "/users/{id}" for "/users/42", and send them as properties of data';

/**
 * Returns 31 bits of a hash, which V8 stores without a heap object. The probability that a new group has the same bits
 * as one of a tenant's 1,000 groups is at most one in two million.
 */
function groupOf({ type, data }: UsageCloudEvent, salt: string): number {
  const { plan, route } = data as { readonly plan?: unknown; readonly route?: unknown };
  const text = JSON.stringify([salt, type, plan ?? '', route ?? '']);
  return hash('sha1', text, 'buffer').readUInt32BE() >>> 1;
}
