import {
  externalIdentity,
  externalKey,
  requestIdentity,
} from '../../../shared/clickhouse/queries/event-identity.ts';
import { uuidTimeMs } from '../../../shared/runtime/uuid-time.ts';
import { readInstant } from '../../../shared/domain/time/instant.ts';
import { isGatewaySource } from '../../../shared/domain/usage-event.ts';
import type { Correction } from '../events/decode.ts';
import type { EventStore } from '../events/event-store.ts';
import type { WantedEvent } from '../events/find-stored-events.ts';
import type { StoredEvent } from '../events/stored-event.ts';

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

/** Longest duration of a request: the time in its id and the time of its event differ by at most this. */
const requestSlackMs = 15 * 60_000;

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

function requestNamed({ tenantId, data }: Correction): WantedEvent | null {
  const requestMs = uuidTimeMs(data.event_id);
  const mayBeRequest = data.event_source === undefined || isGatewaySource(data.event_source);
  const identity = requestMs === null || !mayBeRequest ? null : requestIdentity(data.event_id, requestMs);
  if (requestMs === null || identity === null) return null;
  const { idA, idB } = identity;
  const timeMs = data.event_time === undefined ? null : readInstant(data.event_time);
  return timeMs === null
    ? { tenantId, idA, idB, fromMs: requestMs - requestSlackMs, toMs: requestMs + requestSlackMs }
    : { tenantId, idA, idB, fromMs: timeMs, toMs: timeMs };
}

/** False if the correction names a gateway as the source: its `event_id` is then the id of a request. */
function mayBeExternal({ data }: Correction): boolean {
  return (
    data.event_source === undefined ||
    !isGatewaySource(data.event_source) ||
    uuidTimeMs(data.event_id) === null
  );
}

function externalNamed({ tenantId, source, data }: Correction): { idA: number; idB: string } {
  const { idA, idB } = externalIdentity(tenantId, data.event_source ?? source, data.event_id);
  return { idA, idB };
}

function externalKeyOf({ tenantId, source, data }: Correction): string {
  return externalKey(tenantId, data.event_source ?? source, data.event_id);
}

function nameOf({ tenantId, idA, idB }: Pick<WantedEvent, 'tenantId' | 'idA' | 'idB'>): string {
  return `${idA} ${idB} ${tenantId}`;
}
