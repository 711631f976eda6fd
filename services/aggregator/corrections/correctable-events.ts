import type { Correction } from '../events/decode.ts';
import type { EventStore } from '../events/event-store.ts';
import type { WantedEvent } from '../events/find-stored-events.ts';
import type { StoredEvent } from '../events/stored-event.ts';
import { externalKeyOf, externalNamed, mayBeExternal, nameOf, requestNamed } from './identities.ts';

/** The events that the corrections of a block name, each in its newest revision. */
export interface CorrectableEvents {
  /**
   * Adds an event of the block, or an event after a correction, so that the next correction finds this revision. A
   * repeat of an event whose correction was added changes nothing.
   */
  note(event: StoredEvent): void;
  /** Returns the event that the correction names; null if the log has no event with this name before the correction. */
  find(correction: Correction): StoredEvent | null;
}

/**
 * Reads all events that the corrections may name, in a few queries. An application may report the outcome of each
 * request, so a block may have as many corrections as requests.
 */
export async function correctableEvents(
  corrections: readonly Correction[],
  store: EventStore,
): Promise<CorrectableEvents> {
  const events = new Map<string, StoredEvent[]>();
  const places = new Map<string, number>();
  if (corrections.length > 0) {
    const keys = new Set(corrections.filter(mayBeExternal).map(externalKeyOf));
    if (keys.size > 0) {
      for (const { key, timeMs } of await store.firstPlaces([...keys])) places.set(key, timeMs);
    }
    for (const event of await store.findEvents(corrections.flatMap(candidatesOf))) note(event);
  }
  return { note, find };

  function note(event: StoredEvent): void {
    const same = events.get(nameOf(event)) ?? [];
    // A gateway may send an event again after its corrections.
    if (same.some(({ timeMs, revision }) => timeMs === event.timeMs && revision > event.revision)) return;
    events.set(nameOf(event), [...same.filter(({ timeMs }) => timeMs !== event.timeMs), event]);
  }

  function find(correction: Correction): StoredEvent | null {
    for (const wanted of candidatesOf(correction)) {
      const event = events
        .get(nameOf(wanted))
        ?.find(({ timeMs }) => timeMs >= wanted.fromMs && timeMs <= wanted.toMs);
      if (event !== undefined) return event;
    }
    return null;
  }

  /**
   * Returns the identities that the named event may have: the identity of a request, whose id contains its time, or the
   * identity of an external event.
   */
  function candidatesOf(correction: Correction): WantedEvent[] {
    const request = requestNamed(correction);
    if (request !== null && !mayBeExternal(correction)) return [request];
    const timeMs = places.get(externalKeyOf(correction));
    const external =
      timeMs === undefined
        ? []
        : [{ tenantId: correction.tenantId, ...externalNamed(correction), fromMs: timeMs, toMs: timeMs }];
    return [...(request === null ? [] : [request]), ...external];
  }
}
