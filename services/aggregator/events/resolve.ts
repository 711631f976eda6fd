import { applyCorrection } from '../corrections/correct.ts';
import { correctableEvents } from '../corrections/correctable-events.ts';
import type { Decoded, LogRecord, StoredCorrection } from './decode.ts';
import type { EventStore, Sighting } from './event-store.ts';
import type { StoredEvent } from './stored-event.ts';

/** What cannot become a row, and where its record stands. */
export interface Burial {
  readonly partition: number;
  readonly offset: number;
  readonly reason: string;
}

export interface Resolved {
  readonly events: readonly StoredEvent[];
  readonly burials: readonly Burial[];
  /** Corrections that hold, or that a later one replaced. */
  readonly corrections: readonly StoredCorrection[];
  /** Events whose id had been seen before, at another place of the log: nothing is stored for them. */
  readonly repeats: number;
}

export interface DecodedRecord {
  readonly record: LogRecord;
  readonly decoded: Decoded;
}

/**
 * Turns decoded records into rows, in the order of the log.
 *
 * An id of somebody else counts once, with the content and time of its first place in the log, whatever a client
 * sends with it later. That place is on record before the event is stored, and offsets are committed after both: so
 * whoever reads a repeat finds the first place, and whoever reads the first place again finds himself.
 */
export async function resolve(records: readonly DecodedRecord[], store: EventStore): Promise<Resolved> {
  const firstPlaces = await rememberFirstPlaces(records, store);
  const corrections = records.flatMap(({ decoded }) =>
    decoded.kind === 'correction' ? [decoded.correction] : [],
  );
  const correctable = await correctableEvents(corrections, store);
  const events: StoredEvent[] = [];
  const burials: Burial[] = [];
  const applied: StoredCorrection[] = [];
  let repeats = 0;
  for (const { record, decoded } of records) {
    const { partition, offset } = record;
    if (decoded.kind === 'dead') {
      burials.push({ partition, offset, reason: decoded.reason });
    } else if (decoded.kind === 'correction') {
      const outcome = applyCorrection(decoded.correction, correctable);
      if (outcome.kind === 'rejected') burials.push({ partition, offset, reason: outcome.reason });
      else applied.push(decoded.correction.place);
      if (outcome.kind === 'corrected') add(outcome.event);
    } else if (decoded.kind === 'request' || firstPlaces.get(decoded.key) === placeOf(record)) {
      add(decoded.event);
    } else {
      repeats += 1;
    }
  }
  const rows = corrections.length > 0 ? newestOnly(events) : events;
  return { events: rows, burials, corrections: applied, repeats };

  function add(event: StoredEvent): void {
    events.push(event);
    if (corrections.length > 0) correctable.note(event);
  }
}

/** The place that counts for each external id of the block, by key. */
async function rememberFirstPlaces(
  records: readonly DecodedRecord[],
  store: EventStore,
): Promise<ReadonlyMap<string, string>> {
  const sightings: Sighting[] = [];
  for (const { record, decoded } of records) {
    if (decoded.kind !== 'external') continue;
    const { partition, offset } = record;
    sightings.push({ key: decoded.key, timeMs: decoded.event.timeMs, partition, offset });
  }
  if (sightings.length === 0) return new Map();
  const keys = [...new Set(sightings.map(({ key }) => key))];
  const places = new Map<string, string>();
  for (const known of await store.sightings(keys)) places.set(known.key, placeOf(known));
  const fresh: Sighting[] = [];
  for (const sighting of sightings) {
    if (places.has(sighting.key)) continue;
    places.set(sighting.key, placeOf(sighting));
    fresh.push(sighting);
  }
  if (fresh.length > 0) await store.remember(fresh);
  return places;
}

function placeOf({ partition, offset }: { partition: number; offset: number }): string {
  return `${partition}:${offset}`;
}

/** An event and its correction in one block are one row: the highest revision. */
function newestOnly(events: readonly StoredEvent[]): StoredEvent[] {
  const newest = new Map<string, StoredEvent>();
  for (const event of events) {
    const key = `${event.timeMs}:${event.idA}:${event.idB}:${event.tenantId}`;
    const known = newest.get(key);
    if (known === undefined || event.revision >= known.revision) newest.set(key, event);
  }
  return [...newest.values()];
}
