import type { TouchedCells } from '../../../shared/clickhouse/derive-totals.ts';
import type { StoredEvent } from './stored-event.ts';

/** Largest number of days on which a usual tenant has events in a block: today, and yesterday around midnight. */
const usualDaysMax = 3;
const minuteMs = 60_000;
const dayMs = 86_400_000;

type TouchingEvent = Pick<StoredEvent, 'tenantId' | 'timeMs' | 'isRegrouped'>;

/**
 * Returns the cells (tenant and minute) that the events touched, as groups that are derived one after the other.
 * Deriving a group computes the totals of all of its tenants for all of its minutes. Tenants with events on many days
 * therefore form a group of their own: in one common group, a single tenant with a year of old events would cause the
 * totals of a year to be recomputed for every tenant of the block.
 */
export function touchedBy(events: readonly TouchingEvent[]): TouchedCells[] {
  const minutesOf = new Map<string, Set<number>>();
  let hasRegrouped = false;
  for (const { tenantId, timeMs, isRegrouped } of events) {
    if (isRegrouped === true) hasRegrouped = true;
    let minutes = minutesOf.get(tenantId);
    if (minutes === undefined) minutesOf.set(tenantId, (minutes = new Set()));
    minutes.add(timeMs - (timeMs % minuteMs));
  }
  const groups = Map.groupBy(minutesOf, ([, minutes]) => daysIn(minutes) > usualDaysMax);
  return [...groups.values()].map((tenants) => ({
    tenantIds: new Set(tenants.map(([tenantId]) => tenantId)),
    minutes: new Set(tenants.flatMap(([, minutes]) => [...minutes])),
    hasRegrouped,
  }));
}

function daysIn(minutes: ReadonlySet<number>): number {
  const days = new Set<number>();
  for (const minute of minutes) days.add(Math.floor(minute / dayMs));
  return days.size;
}
