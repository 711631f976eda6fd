import { applyCorrection } from '../corrections/correct.ts';
import { correctableEvents } from '../corrections/correctable-events.ts';
import type { Decoded, LogRecord, StoredCorrection } from './decode.ts';
import type { EventStore, FirstPlace } from './event-store.ts';
import type { StoredEvent } from './stored-event.ts';

/** A record that becomes a dead letter instead of a row, with its place in the log. */
export interface RecordRejection {
  readonly partition: number;
  readonly offset: number;
  readonly reason: string;
}

export interface Resolved {
  readonly events: readonly StoredEvent[];
  readonly rejections: readonly RecordRejection[];
  /** Corrections that were applied, and corrections that a later correction had replaced already. */
  readonly corrections: readonly StoredCorrection[];
  /** Number of events that are repeats: the first place of their id is another record. Nothing is stored for them. */
  readonly repeats: number;
}

export interface DecodedRecord {
  readonly record: LogRecord;
  readonly decoded: Decoded;
}

/**
 * Turns decoded records into rows, in the order of the log. An external id counts once, with the content and time of
 * its first record in the log, whatever a client sends with the same id later. The place of the first record is stored
 * before the event, and offsets are committed after both. So a process that reads a repeat always finds the first
 * place, and a process that reads the first record again finds the place of that record.
 */
export async function resolve(records: readonly DecodedRecord[], store: EventStore): Promise<Resolved> {
  const firstPlaces = await storeFirstPlaces(records, store);
  const corrections = records.flatMap(({ decoded }) =>
    decoded.kind === 'correction' ? [decoded.correction] : [],
  );
  const correctable = await correctableEvents(corrections, store);
  const events: StoredEvent[] = [];
  const rejections: RecordRejection[] = [];
  const applied: StoredCorrection[] = [];
  let repeats = 0;
  for (const { record, decoded } of records) {
    const { partition, offset } = record;
    if (decoded.kind === 'dead') {
      rejections.push({ partition, offset, reason: decoded.reason });
    } else if (decoded.kind === 'correction') {
      const outcome = applyCorrection(decoded.correction, correctable);
      if (outcome.kind === 'rejected') rejections.push({ partition, offset, reason: outcome.reason });
      else applied.push(decoded.correction.place);
      if (outcome.kind === 'corrected') add(outcome.event);
    } else if (decoded.kind === 'request' || firstPlaces.get(decoded.key) === placeOf(record)) {
      add(decoded.event);
    } else {
      repeats += 1;
    }
  }
  const rows = corrections.length > 0 ? newestOnly(events) : events;
  return { events: rows, rejections, corrections: applied, repeats };

  function add(event: StoredEvent): void {
    events.push(event);
    if (corrections.length > 0) correctable.note(event);
  }
}

/** Returns the first place of each external id of the block, by key. First stores the places of ids that are new. */
async function storeFirstPlaces(
  records: readonly DecodedRecord[],
  store: EventStore,
): Promise<ReadonlyMap<string, string>> {
  const candidates: FirstPlace[] = [];
  for (const { record, decoded } of records) {
    if (decoded.kind !== 'external') continue;
    const { partition, offset } = record;
    candidates.push({ key: decoded.key, timeMs: decoded.event.timeMs, partition, offset });
  }
  if (candidates.length === 0) return new Map();
  const keys = [...new Set(candidates.map(({ key }) => key))];
  const places = new Map<string, string>();
  for (const first of await store.firstPlaces(keys)) places.set(first.key, placeOf(first));
  const added: FirstPlace[] = [];
  for (const candidate of candidates) {
    if (places.has(candidate.key)) continue;
    places.set(candidate.key, placeOf(candidate));
    added.push(candidate);
  }
  if (added.length > 0) await store.storeFirstPlaces(added);
  return places;
}

function placeOf({ partition, offset }: { partition: number; offset: number }): string {
  return `${partition}:${offset}`;
}

/** An event and its corrections in one block become one row, with the highest revision. */
function newestOnly(events: readonly StoredEvent[]): StoredEvent[] {
  const newest = new Map<string, StoredEvent>();
  for (const event of events) {
    const key = `${event.timeMs}:${event.idA}:${event.idB}:${event.tenantId}`;
    const before = newest.get(key);
    if (before === undefined || event.revision >= before.revision) newest.set(key, event);
  }
  return [...newest.values()];
}
