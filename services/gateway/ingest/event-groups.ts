import { hash, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';

/** The distinct combinations of type, plan and route that each tenant published to this node on the current UTC day. */
export interface EventGroups {
  /** Adds the event's group to those of its tenant. Returns null, or why the event is rejected. */
  add(event: UsageCloudEvent, nowMs: number): string | null;
}

/**
 * Totals have a row for each group, and each block of events recomputes all groups of a tenant's day, so this bounds the
 * cost of a block. An API has a few hundred routes at most.
 */
export const groupsOfTenantMax = 1_000;
/** Bounds memory to about 50 MB if many tenants are at their bound. The least recently published tenants are evicted first. */
const groupsMax = 1_000_000;
/** Memory of a tenant's entry, as a number of groups. */
const groupsOfTenantEntry = 10;

const dayMs = 86_400_000;

/** Bounds the groups that published events add to their tenant's totals, also where a service publishes them. */
export function createEventGroups(): EventGroups {
  // The salt keeps publishers from choosing routes whose short hashes are equal.
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
    // The cache computes the size of a new entry only; setting the same value keeps the old size.
    byTenant.delete(event.subject);
    byTenant.set(event.subject, groups);
    return null;
  }

  function startDay(today: number): void {
    // A batch that arrived before midnight may be validated after a batch of the new day.
    if (today === day || today === day - 1) return;
    byTenant.clear();
    day = today;
  }
}

const tooManyGroups =
  `the tenant published ${groupsOfTenantMax} different combinations of type, data.plan and data.route today (UTC) and this is one ` +
  'more; leave ids out of data.route, e.g. "/users/{id}" for "/users/42", and send them as properties of data';

/**
 * 31 bits of a hash, which V8 stores without a heap object. A group is mistaken for one of a tenant's 1,000 with a
 * probability of at most one in two million.
 */
function groupOf({ type, data }: UsageCloudEvent, salt: string): number {
  const { plan, route } = data as { readonly plan?: unknown; readonly route?: unknown };
  const text = JSON.stringify([salt, type, plan ?? '', route ?? '']);
  return hash('sha1', text, 'buffer').readUInt32BE() >>> 1;
}
