import {
  externalIdentity,
  externalKey,
  requestIdentity,
} from '../../../shared/clickhouse/queries/event-identity.ts';
import { uuidTimeMs } from '../../../shared/runtime/uuid-time.ts';
import { readInstant } from '../../../shared/domain/time/instant.ts';
import type { Correction } from '../events/decode.ts';
import type { EventStore, WantedEvent } from '../events/event-store.ts';
import type { StoredEvent } from '../events/stored-event.ts';

/** The events that corrections of a block name, as they stand while the block is gone through. */
export interface CorrectableEvents {
  /** An event of the block, or one as it is after a correction: the next correction finds it so. */
  note(event: StoredEvent): void;
  /** Null where no such event stands before the correction. */
  find(correction: Correction): StoredEvent | null;
}

/** A request's time may differ from its id's by the length of the request. */
const requestSlackMs = 15 * 60_000;

/**
 * Reads all events that the corrections may mean in a few queries, however many corrections there are: services report
 * the outcome of each request that they asked about, so there may be as many as there are requests.
 */
export async function correctableEvents(
  corrections: readonly Correction[],
  store: EventStore,
): Promise<CorrectableEvents> {
  const known = new Map<string, StoredEvent[]>();
  const places = new Map<string, number>();
  if (corrections.length > 0) {
    const keys = new Set(corrections.filter(mayBeExternal).map(externalKeyOf));
    if (keys.size > 0) {
      for (const { key, timeMs } of await store.sightings([...keys])) places.set(key, timeMs);
    }
    for (const event of await store.find(corrections.flatMap(candidatesOf))) note(event);
  }
  return { note, find };

  function note(event: StoredEvent): void {
    const others = known.get(nameOf(event))?.filter(({ timeMs }) => timeMs !== event.timeMs) ?? [];
    known.set(nameOf(event), [...others, event]);
  }

  function find(correction: Correction): StoredEvent | null {
    for (const wanted of candidatesOf(correction)) {
      const event = known
        .get(nameOf(wanted))
        ?.find(({ timeMs }) => timeMs >= wanted.fromMs && timeMs <= wanted.toMs);
      if (event !== undefined) return event;
    }
    return null;
  }

  /** Where the event may be: as a request, whose id says when it was, else where its id was first seen. */
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
  const mayBeRequest = data.event_source?.startsWith('tollgate/') ?? true;
  const identity = requestMs === null || !mayBeRequest ? null : requestIdentity(data.event_id, requestMs);
  if (requestMs === null || identity === null) return null;
  const { idA, idB } = identity;
  const timeMs = data.event_time === undefined ? null : readInstant(data.event_time);
  return timeMs === null
    ? { tenantId, idA, idB, fromMs: requestMs - requestSlackMs, toMs: requestMs + requestSlackMs }
    : { tenantId, idA, idB, fromMs: timeMs, toMs: timeMs };
}

/** False where the id can only be a request's: its source is given and is a gateway. */
function mayBeExternal({ data }: Correction): boolean {
  return (
    data.event_source === undefined ||
    !data.event_source.startsWith('tollgate/') ||
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
