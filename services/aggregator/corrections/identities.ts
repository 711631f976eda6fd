import {
  externalIdentity,
  externalKey,
  requestIdentity,
} from '../../../shared/clickhouse/queries/event-identity.ts';
import { readInstant } from '../../../shared/domain/time/instant.ts';
import { isGatewaySource } from '../../../shared/domain/usage-event.ts';
import { uuidTimeMs } from '../../../shared/runtime/uuid-time.ts';
import type { Correction } from '../events/decode.ts';
import type { WantedEvent } from '../events/find-stored-events.ts';

/** Longest duration of a request: the time in its id and the time of its event differ by at most this. */
const requestSlackMs = 15 * 60_000;

/** Returns the identities that the named event may have, whatever its time if it is an external event. */
export function identitiesOf(correction: Correction): readonly WantedEvent[] {
  const request = requestNamed(correction);
  if (!mayBeExternal(correction)) return request === null ? [] : [request];
  const external = { tenantId: correction.tenantId, ...externalNamed(correction), fromMs: 0, toMs: Infinity };
  return [...(request === null ? [] : [request]), external];
}

/** Returns the identity of the named event if it may be a request, whose id contains its time; otherwise null. */
export function requestNamed({ tenantId, data }: Correction): WantedEvent | null {
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
export function mayBeExternal({ data }: Correction): boolean {
  return (
    data.event_source === undefined ||
    !isGatewaySource(data.event_source) ||
    uuidTimeMs(data.event_id) === null
  );
}

export function externalNamed({ tenantId, source, data }: Correction): { idA: number; idB: string } {
  const { idA, idB } = externalIdentity(tenantId, data.event_source ?? source, data.event_id);
  return { idA, idB };
}

export function externalKeyOf({ tenantId, source, data }: Correction): string {
  return externalKey(tenantId, data.event_source ?? source, data.event_id);
}

/** The identity of an event without its time, as a key of maps. */
export function nameOf({ tenantId, idA, idB }: Pick<WantedEvent, 'tenantId' | 'idA' | 'idB'>): string {
  return `${idA} ${idB} ${tenantId}`;
}
