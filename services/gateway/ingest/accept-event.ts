import { amendEventType, voidEventType } from '../../../shared/domain/correction.ts';
import { eventBounds } from '../../../shared/domain/events/bounds.ts';
import type { TimeBounds } from '../../../shared/domain/events/bounds.ts';
import type { Json } from '../../../shared/domain/events/fields.ts';
import { extensionsOf } from '../../../shared/domain/events/properties.ts';
import { readEvent } from '../../../shared/domain/events/read-event.ts';
import { problemOfTenantId } from '../../../shared/domain/identity.ts';
import type { Identity } from '../../../shared/domain/identity.ts';
import { anonymousTenant } from '../../../shared/domain/usage-event.ts';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import { problemOfUser } from '../entrypoints/api/caller.ts';

export interface Publisher {
  /** Who publishes: a tenant for itself only, a service for any tenant. */
  readonly identity: Identity;
  readonly nowMs: number;
  readonly times: TimeBounds;
}

export type Acceptance = { readonly event: UsageCloudEvent } | { readonly problem: string };

/**
 * The event as it is published, or why it is not accepted. What is accepted here the aggregator stores: both read it by
 * the one contract (`shared/domain/events`), and the bounds of time here are the narrower ones. Identity is (subject,
 * source, id), so sending an event again counts nothing twice. A missing `time` is now and a missing `subject` the
 * caller's tenant.
 */
export function acceptEvent(given: Json, publisher: Publisher): Acceptance {
  const { identity, nowMs, times } = publisher;
  const time = given['time'] ?? new Date(nowMs).toISOString();
  const subject = given['subject'] ?? identity.tenantId;
  const problem = problemOfOrigin(given) ?? problemOfSubject(subject, identity);
  if (problem !== null) return { problem };
  const reading = readEvent({ ...given, time, subject }, nowMs, times);
  if (reading.kind === 'rejected') return { problem: reading.reason };
  const { id, source, type, tenantId, timeMs } = reading.head;
  if (type.startsWith('tollgate.')) {
    if (reading.kind !== 'correction')
      return { problem: `type "${type}" is reserved; choose one of your own` };
    if (identity.service === null) return { problem: 'only a service may amend or void events' };
  } else if (reading.kind === 'meter' && !mayName(identity, reading.fields.userId)) {
    return { problem: 'data.user_id must be your own user' };
  }
  const event: UsageCloudEvent = {
    ...extensionsOf(given),
    specversion: '1.0',
    id,
    source,
    type,
    time: new Date(timeMs).toISOString(),
    subject: tenantId,
    datacontenttype: 'application/json',
    data: reading.kind === 'meter' ? reading.data : reading.kind === 'correction' ? reading.correction : {},
  };
  const bytes = Buffer.byteLength(JSON.stringify(event));
  return bytes > eventBounds.publishedBytesMax
    ? { problem: `the event has ${bytes} bytes, more than ${eventBounds.publishedBytesMax}` }
    : { event };
}

/** What Tollgate itself says of requests and of its spools cannot be said by others. */
function problemOfOrigin({ source, type, spool, spoolsequence }: Json): string | null {
  if (source === 'tollgate' || (typeof source === 'string' && source.startsWith('tollgate/'))) {
    return 'source may not begin with "tollgate/", which is reserved';
  }
  if (spool !== undefined || spoolsequence !== undefined) {
    return 'the attributes spool and spoolsequence are reserved';
  }
  const isReserved = typeof type === 'string' && type.startsWith('tollgate.');
  return isReserved && type !== amendEventType && type !== voidEventType
    ? `type "${type.slice(0, eventBounds.typeLengthMax)}" is reserved; choose one of your own`
    : null;
}

function problemOfSubject(subject: unknown, { tenantId, service }: Identity): string | null {
  if (subject === null) return 'subject must name the tenant';
  if (service === null && subject !== tenantId) return 'subject must be your own tenant';
  const problem =
    typeof subject === 'string' && subject !== anonymousTenant ? problemOfTenantId(subject) : null;
  return problem === null ? null : `subject ${problem}`;
}

/** The usage of a user is published by a service, by the user's tenant, or by that user's own token. */
function mayName(identity: Identity, userId: string): boolean {
  return userId === '' || problemOfUser(identity, userId) === null;
}
