import { applyCorrection } from '../corrections/correct.ts';
import type { CorrectionOutcome } from '../corrections/correct.ts';
import { correctableEvents } from '../corrections/correctable-events.ts';
import { findEarlierCopies, mayBeCopy } from '../corrections/earlier-copies.ts';
import type { WaitingCorrection, WaitingCorrections } from '../corrections/waiting-corrections.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import { placeKey } from '../place.ts';
import type { Correction, Decoded, StoredCorrection } from './decode.ts';
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
  /** Corrections that were applied, corrections that a later correction had replaced already, and repeats of corrections. */
  readonly corrections: readonly StoredCorrection[];
  /** Corrections that waited before and are applied now, or rejected by their event. */
  readonly settled: readonly WaitingCorrection[];
  /** Corrections that waited before and are dead letters now, because no event arrived in time. */
  readonly expired: readonly WaitingCorrection[];
  /**
   * Number of repeats: external events whose id has its first place in another record, and corrections of which a copy is earlier in
   * the log. They change no event.
   */
  readonly repeats: number;
}

export interface DecodedRecord {
  readonly record: ConsumedMessage;
  readonly decoded: Decoded;
}

/** Corrections that wait for their events, and the start of the block (`WaitingCorrections.epoch`). */
export interface Waiting {
  readonly corrections: WaitingCorrections;
  readonly epoch: number;
  /** Corrections that have waited for the longest time. They are applied, or rejected, before the records. The
   * events of earlier blocks and records must be stored. */
  readonly due: readonly WaitingCorrection[];
}

/**
 * Turns decoded records into rows, in the order of the log. An external id counts once, with the content and time of
 * its first record in the log, whatever a client sends with the same id later. The place of the first record is stored
 * before the event, and offsets are committed after both. So a process that reads a repeat always finds the first
 * place, and a process that reads the first record again finds the place of that record.
 *
 * A correction whose event is not found waits for it, and is applied directly after its event.
 *
 * A correction that was sent again, by its gateway or by the client that published it, is a repeat if its first copy was applied, or
 * waits: the copy would otherwise replace corrections that were sent meanwhile. The first copy is handled before the second one, also
 * after a crash, because its row is stored before its offset is committed.
 */
export async function resolve(
  records: readonly DecodedRecord[],
  store: EventStore,
  waiting: Waiting,
  /** `Resolved.corrections` of the records before these in the same block. */
  handled: readonly StoredCorrection[] = [],
): Promise<Resolved> {
  const firstPlaces = await storeFirstPlaces(records, store);
  const overtaken = records.flatMap(({ record, decoded }) =>
    'event' in decoded ? waiting.corrections.of(decoded.event, record.timestampMs) : [],
  );
  const corrections = [
    ...[...waiting.due, ...overtaken].map(({ correction }) => correction),
    ...records.flatMap(({ decoded }) => (decoded.kind === 'correction' ? [decoded.correction] : [])),
  ];
  const copies = await findEarlierCopies(corrections, store, handled);
  const correctable = await correctableEvents(corrections, store);
  const hasCorrections = corrections.length > 0;
  const events: StoredEvent[] = [];
  const rejections: RecordRejection[] = [];
  const handledHere: StoredCorrection[] = [];
  const settled: WaitingCorrection[] = [];
  const expired: WaitingCorrection[] = [];
  let repeats = 0;
  for (const one of waiting.due) {
    const outcome = applyCorrection(one.correction, correctable);
    if (outcome.kind === 'unknown') {
      reject(one.correction, outcome.reason);
      expired.push(one);
    } else {
      noteOutcome(one.correction, outcome);
      settled.push(one);
    }
  }
  for (const { record, decoded } of records) {
    if (decoded.kind === 'dead') {
      rejections.push({ partition: record.partition, offset: record.offset, reason: decoded.reason });
    } else if (decoded.kind === 'correction') {
      correct({ correction: decoded.correction, message: record });
    } else if (decoded.kind === 'request' || firstPlaces.get(decoded.key) === placeKey(record)) {
      add(decoded.event);
      applyWaiting(decoded.event, record.timestampMs);
    } else {
      repeats += 1;
    }
  }
  const rows = hasCorrections ? newestOnly(events) : events;
  return { events: rows, rejections, corrections: handledHere, settled, expired, repeats };

  function add(event: StoredEvent): void {
    events.push(event);
    if (hasCorrections) correctable.note(event);
  }

  function correct(one: WaitingCorrection): void {
    const { correction } = one;
    const isCopy = (): boolean =>
      copies.has(correction) || waiting.corrections.hasEarlierCopy(one, waiting.epoch);
    if (mayBeCopy(correction) && isCopy()) {
      repeats += 1;
      // The first copy may still become a dead letter. Its replay must not find the key of this repeat.
      noteHandled({ ...correction.place, key: null });
      return;
    }
    const outcome = applyCorrection(correction, correctable);
    if (outcome.kind !== 'unknown') noteOutcome(correction, outcome);
    else if (!waiting.corrections.add(one, waiting.epoch)) {
      reject(correction, `${outcome.reason}, and too many other corrections wait for their events`);
    }
  }

  /** Applies the corrections that arrived before their event, also those of this block. */
  function applyWaiting(event: StoredEvent, timestampMs: number | null): void {
    for (const one of waiting.corrections.of(event, timestampMs)) {
      const outcome = applyCorrection(one.correction, correctable, true);
      if (outcome.kind === 'unknown') continue;
      noteOutcome(one.correction, outcome);
      settled.push(one);
    }
  }

  function noteOutcome(
    correction: Correction,
    outcome: Exclude<CorrectionOutcome, { readonly kind: 'unknown' }>,
  ): void {
    if (outcome.kind === 'rejected') reject(correction, outcome.reason);
    else noteHandled(correction.place);
    if (outcome.kind === 'corrected') add(outcome.event);
  }

  function noteHandled(place: StoredCorrection): void {
    handledHere.push(place);
    copies.note(place);
  }

  function reject({ place: { partition, offset } }: Correction, reason: string): void {
    rejections.push({ partition, offset, reason });
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
  for (const first of await store.firstPlaces(keys)) places.set(first.key, placeKey(first));
  const added: FirstPlace[] = [];
  for (const candidate of candidates) {
    if (places.has(candidate.key)) continue;
    places.set(candidate.key, placeKey(candidate));
    added.push(candidate);
  }
  if (added.length > 0) await store.storeFirstPlaces(added);
  return places;
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
