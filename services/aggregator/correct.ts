import {
  foreignIdentity,
  foreignKey,
  requestIdentity,
  uuidTimeMs,
} from '../../shared/clickhouse/event-identity.ts';
import { eventBounds } from '../../shared/domain/events/bounds.ts';
import { statedMoney } from '../../shared/domain/money.ts';
import type { Correction } from './decode.ts';
import type { EventStore, WantedEvent } from './event-store.ts';
import type { StoredEvent } from './stored-event.ts';

export type CorrectionOutcome =
  | { readonly kind: 'corrected'; readonly event: StoredEvent }
  /** A later correction of the same event is stored already. */
  | { readonly kind: 'superseded' }
  | { readonly kind: 'rejected'; readonly reason: string };

const propertiesMax = eventBounds.propertiesMax + eventBounds.extensionsMax;

/** A request's time may differ from its id's by the length of the request. */
const requestSlackMs = 15 * 60_000;

/**
 * The named event as it is after the correction. Its revision is the correction's offset plus one, so that of several
 * the last in the log holds, and a correction that is read again finds itself superseded or writes the same row.
 */
export async function applyCorrection(
  correction: Correction,
  block: readonly StoredEvent[],
  store: EventStore,
): Promise<CorrectionOutcome> {
  const wanted = await wantedEvent(correction, store, block);
  const event =
    wanted === null
      ? null
      : (block.findLast((candidate) => matches(candidate, wanted)) ?? (await store.find(wanted)));
  const revision = correction.offset + 1;
  // What stands behind the correction in the log was not there to be corrected: read again, or by a zombie, the same
  // correction has to come to the same end.
  const isLater = event !== null && event.revision < revision && standsBehind(event, correction);
  if (event === null || isLater) {
    return { kind: 'rejected', reason: `the event to correct, ${correction.data.event_id}, is not known` };
  }
  if (event.revision > revision) return { kind: 'superseded' };
  if (correction.voids) return { kind: 'corrected', event: { ...event, revision, voided: true } };
  const { units = event.units, cost: stated } = correction.data;
  const cost = stated === undefined ? event.cost : (statedMoney(stated) ?? event.cost);
  const properties = { ...event.properties, ...correction.data.properties };
  if (Object.keys(properties).length > propertiesMax) {
    return {
      kind: 'rejected',
      reason: `the corrected event would have more than ${propertiesMax} properties`,
    };
  }
  return { kind: 'corrected', event: { ...event, revision, voided: false, units, cost, properties } };
}

/** Where the event to correct must be; null when its id was never seen. */
async function wantedEvent(
  { tenantId, source, data }: Correction,
  store: EventStore,
  block: readonly StoredEvent[],
): Promise<WantedEvent | null> {
  const eventSource = data.event_source ?? source;
  const requestMs = uuidTimeMs(data.event_id);
  if (requestMs !== null && (data.event_source === undefined || eventSource.startsWith('tollgate/'))) {
    const identity = requestIdentity(data.event_id, requestMs);
    const wanted = identity && {
      tenantId,
      ...identity,
      fromMs: requestMs - requestSlackMs,
      toMs: requestMs + requestSlackMs,
    };
    if (wanted !== null && (data.event_source !== undefined || (await isThere(wanted, block, store))))
      return wanted;
  }
  const identity = foreignIdentity(tenantId, eventSource, data.event_id);
  const [sighting] = await store.sightings([foreignKey(tenantId, eventSource, data.event_id)]);
  if (sighting === undefined) return null;
  return { tenantId, ...identity, fromMs: sighting.timeMs, toMs: sighting.timeMs };
}

function standsBehind(event: StoredEvent, { partition, offset }: Correction): boolean {
  return event.partition === partition && event.offset > offset;
}

async function isThere(
  wanted: WantedEvent,
  block: readonly StoredEvent[],
  store: EventStore,
): Promise<boolean> {
  return block.some((event) => matches(event, wanted)) || (await store.find(wanted)) !== null;
}

function matches(event: StoredEvent, wanted: WantedEvent): boolean {
  return (
    event.tenantId === wanted.tenantId &&
    event.idA === wanted.idA &&
    event.idB === wanted.idB &&
    event.timeMs >= wanted.fromMs &&
    event.timeMs <= wanted.toMs
  );
}
