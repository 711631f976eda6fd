import { amendEventType, voidEventType } from '../../../shared/domain/events/correction.ts';
import { eventBounds } from '../../../shared/domain/events/bounds.ts';
import type { TimeBounds } from '../../../shared/domain/events/bounds.ts';
import type { Json } from '../../../shared/domain/events/fields.ts';
import { extensionsOf } from '../../../shared/domain/events/properties.ts';
import { readEvent } from '../../../shared/domain/events/read-event.ts';
import { problemOfTenantId } from '../../../shared/domain/identity.ts';
import type { Identity } from '../../../shared/domain/identity.ts';
import { anonymousTenant, isGatewaySource } from '../../../shared/domain/usage-event.ts';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import { problemOfUser } from '../entrypoints/api/caller.ts';

export interface Publisher {
  /** The caller that publishes the event. A tenant may publish its own events, a service those of any tenant. */
  readonly identity: Identity;
  readonly nowMs: number;
  readonly times: TimeBounds;
}

/** The event in the form that Tollgate stores, or the reason for its rejection. */
export type Acceptance = { readonly event: UsageCloudEvent } | { readonly violation: string };

/**
 * Validates an event that a client publishes. Gateway and aggregator validate with the same module,
 * `shared/domain/events`, and the gateway allows a narrower range of times: therefore the aggregator stores every event
 * that is accepted here. (subject, source, id) identifies an event, so an event that is sent again is counted once. An
 * absent `time` means now, and an absent `subject` means the caller's tenant.
 */
export function acceptEvent(published: Json, publisher: Publisher): Acceptance {
  const { identity, nowMs, times } = publisher;
  const time = published['time'] ?? new Date(nowMs).toISOString();
  const subject = published['subject'] ?? identity.tenantId;
  const violation = originViolation(published) ?? subjectViolation(subject, identity);
  if (violation !== null) return { violation };
  const reading = readEvent({ ...published, time, subject }, nowMs, times);
  if (reading.kind === 'rejected') return { violation: reading.reason };
  const { id, source, type, tenantId, timeMs } = reading.head;
  if (type.startsWith('tollgate.')) {
    if (reading.kind !== 'correction')
      return { violation: `type "${type}" is reserved; choose one of your own` };
    if (identity.service === null) return { violation: 'only a service may amend or void events' };
  } else if (reading.kind === 'meter' && !mayName(identity, reading.fields.userId)) {
    return { violation: 'data.user_id must be your own user' };
  }
  const event: UsageCloudEvent = {
    ...extensionsOf(published),
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
    ? { violation: `the event has ${bytes} bytes, more than ${eventBounds.publishedBytesMax}` }
    : { event };
}

/** Clients may not use the sources, types and spool attributes of the events that Tollgate itself writes. */
function originViolation({ source, type, spool, spoolsequence }: Json): string | null {
  if (source === 'tollgate' || (typeof source === 'string' && isGatewaySource(source))) {
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

function subjectViolation(subject: unknown, { tenantId, service }: Identity): string | null {
  if (subject === null) return 'subject must name the tenant';
  if (service === null && subject !== tenantId) return 'subject must be your own tenant';
  const problem =
    typeof subject === 'string' && subject !== anonymousTenant ? problemOfTenantId(subject) : null;
  return problem === null ? null : `subject ${problem}`;
}

/**
 * True if the caller may publish usage of this user: a service may, and so may a credential of the user's tenant and
 * the user's own token.
 */
function mayName(identity: Identity, userId: string): boolean {
  return userId === '' || problemOfUser(identity, userId) === null;
}
