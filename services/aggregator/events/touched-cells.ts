import type { TouchedCells } from '../../../shared/clickhouse/derive-totals.ts';
import type { StoredEvent } from './stored-event.ts';

/** A tenant with new events, and what its events touch. */
export interface TouchedTenant {
  /** Starts of the minutes of the events, Unix milliseconds. */
  readonly minutes: ReadonlySet<number>;
  /** Partition of the last event. */
  readonly partition: number;
  /**
   * Time of the first request that a gateway decided without Redis and did not refuse; null if there is none.
   */
  readonly degradedSinceMs: number | null;
  /** True if a correction may have moved an event to another group of the totals. */
  readonly hasRegrouped: boolean;
}

/** What the events of one or more blocks touch, by tenant. It takes much less memory than the events. */
export type Touched = ReadonlyMap<string, TouchedTenant>;

/** Largest number of days on which a usual tenant has events in a block: today, and yesterday around midnight. */
const usualDaysMax = 3;
const minuteMs = 60_000;
const dayMs = 86_400_000;

export interface TouchedCollector {
  /** Adds the events of a block. */
  add(events: readonly StoredEvent[]): void;
  readonly touched: Touched;
}

export function createTouchedCollector(): TouchedCollector {
  const touched = new Map<string, Mutable<TouchedTenant>>();
  return {
    touched,
    add(events) {
      for (const { tenantId, timeMs, partition, degraded, decision, isRegrouped } of events) {
        let tenant = touched.get(tenantId);
        if (tenant === undefined) {
          tenant = { minutes: new Set(), partition, degradedSinceMs: null, hasRegrouped: false };
          touched.set(tenantId, tenant);
        }
        tenant.minutes.add(timeMs - (timeMs % minuteMs));
        tenant.partition = partition;
        if (isRegrouped === true) tenant.hasRegrouped = true;
        // A refused request consumes nothing, so it does not count as degraded usage.
        if (!degraded || decision === 'limited') continue;
        tenant.degradedSinceMs = Math.min(tenant.degradedSinceMs ?? Infinity, timeMs);
      }
    },
  };
}

/** Returns what several blocks touch together. The blocks are in the order in which they were stored. */
export function mergeTouched(blocks: readonly Touched[]): Touched {
  const [only] = blocks;
  if (blocks.length === 1 && only !== undefined) return only;
  const merged = new Map<string, TouchedTenant>();
  for (const [tenantId, tenant] of blocks.flatMap((touched) => [...touched])) {
    const before = merged.get(tenantId);
    merged.set(tenantId, before === undefined ? tenant : mergeTenant(before, tenant));
  }
  return merged;
}

function mergeTenant(before: TouchedTenant, after: TouchedTenant): TouchedTenant {
  const since = Math.min(before.degradedSinceMs ?? Infinity, after.degradedSinceMs ?? Infinity);
  return {
    minutes: new Set([...before.minutes, ...after.minutes]),
    partition: after.partition,
    degradedSinceMs: since === Infinity ? null : since,
    hasRegrouped: before.hasRegrouped || after.hasRegrouped,
  };
}

/**
 * Returns the cells (tenant and minute) that were touched, as groups that are derived one after the other. Deriving a
 * group computes the totals of all of its tenants for all of its minutes. Tenants with events on many days therefore
 * form a group of their own: in one common group, a single tenant with a year of old events would cause the totals of a
 * year to be recomputed for every tenant of the block.
 */
export function touchedCells(touched: Touched): TouchedCells[] {
  const hasRegrouped = [...touched.values()].some((tenant) => tenant.hasRegrouped);
  const groups = Map.groupBy(touched, ([, { minutes }]) => daysIn(minutes) > usualDaysMax);
  return [...groups.values()].map((tenants) => ({
    tenantIds: new Set(tenants.map(([tenantId]) => tenantId)),
    minutes: new Set(tenants.flatMap(([, { minutes }]) => [...minutes])),
    hasRegrouped,
  }));
}

function daysIn(minutes: ReadonlySet<number>): number {
  const days = new Set<number>();
  for (const minute of minutes) days.add(Math.floor(minute / dayMs));
  return days.size;
}

type Mutable<Value> = {
  -readonly [Key in keyof Value]: Value[Key] extends ReadonlySet<infer Item> ? Set<Item> : Value[Key];
};
