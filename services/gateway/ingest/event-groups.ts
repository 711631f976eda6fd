import { hash, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';

/** Distinct combinations of type, plan and route that tenants published on the current UTC day, as this node saw them. */
export interface EventGroups {
  /** Adds the group of the event. Null where its tenant has room for it, otherwise why the event is rejected. */
  add(event: UsageCloudEvent, nowMs: number): string | null;
}

/**
 * A total has a row for each group, and each block of events recomputes all groups of a tenant's day: their number is
 * what a block costs. Routes of an API are a few hundred at most.
 */
export const groupsOfTenantMax = 1_000;
/** Bounds memory to some 50 MB, if many tenants are at their bound. Tenants that published least recently are forgotten first. */
const groupsMax = 1_000_000;
/** A tenant takes the memory of about ten groups besides its groups. */
const groupsOfTenantEntry = 10;

const dayMs = 86_400_000;

/** Bounds the groups that published events add to the totals of their tenant, whether the tenant or a service publishes them. */
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
    if (groups.size >= groupsOfTenantMax) return groupProblem;
    groups.add(group);
    // Set again for its new size. The same value would keep the old one.
    byTenant.delete(event.subject);
    byTenant.set(event.subject, groups);
    return null;
  }

  function startDay(today: number): void {
    // A batch that arrived before midnight may be judged after another one of the new day.
    if (today === day || today === day - 1) return;
    byTenant.clear();
    day = today;
  }
}

const groupProblem =
  `the tenant published ${groupsOfTenantMax} different combinations of type, data.plan and data.route today (UTC) and this is one ` +
  'more; leave ids out of data.route, e.g. "/users/{id}" for "/users/42", and send them as properties of data';

/** 31 bits of a hash, which is a number without an object of its own: of a million other groups one is taken for a known one at most. */
function groupOf({ type, data }: UsageCloudEvent, salt: string): number {
  const { plan, route } = data as { readonly plan?: unknown; readonly route?: unknown };
  const text = JSON.stringify([salt, type, plan ?? '', route ?? '']);
  return hash('sha1', text, 'buffer').readUInt32BE() >>> 1;
}
