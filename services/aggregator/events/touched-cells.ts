import type { TouchedCells } from '../../../shared/clickhouse/derive-totals.ts';
import type { StoredEvent } from './stored-event.ts';

/** Days of nearly every tenant of a block: today, and yesterday around midnight. */
const usualDaysMax = 3;
const minuteMs = 60_000;
const dayMs = 86_400_000;

/**
 * The cells that events touched, as groups to derive one after the other. A group is derived as all of its tenants times all of
 * its minutes. Tenants whose events are spread over many days therefore form a group of their own: together with the
 * others, one tenant with a year of old events would have the totals of a year recomputed for every tenant of the block.
 */
export function touchedBy(events: readonly Pick<StoredEvent, 'tenantId' | 'timeMs'>[]): TouchedCells[] {
  const minutesOf = new Map<string, Set<number>>();
  for (const { tenantId, timeMs } of events) {
    let minutes = minutesOf.get(tenantId);
    if (minutes === undefined) minutesOf.set(tenantId, (minutes = new Set()));
    minutes.add(timeMs - (timeMs % minuteMs));
  }
  const groups = Map.groupBy(minutesOf, ([, minutes]) => daysIn(minutes) > usualDaysMax);
  return [...groups.values()].map((tenants) => ({
    tenantIds: new Set(tenants.map(([tenantId]) => tenantId)),
    minutes: new Set(tenants.flatMap(([, minutes]) => [...minutes])),
  }));
}

function daysIn(minutes: ReadonlySet<number>): number {
  const days = new Set<number>();
  for (const minute of minutes) days.add(Math.floor(minute / dayMs));
  return days.size;
}
