import { amendEventType, voidEventType } from '../domain/events/correction.ts';
import { readInstant } from '../domain/time/instant.ts';
import { requestEventType } from '../domain/usage-event.ts';
import { externalIdentity, externalKey, requestIdentity } from '../clickhouse/queries/event-identity.ts';
import { uuidTimeMs } from '../runtime/uuid-time.ts';
import type { IdentityKey } from '../clickhouse/queries/stored-identities.ts';
import { eventOf } from '../domain/topics/cloud-event.ts';
import type { ConsumedMessage } from '../kafka/message.ts';

/**
 * The parts of a record of the usage topic that the audit needs. `event` is null when the record contains no readable event
 * identity.
 */
export interface LogRecord {
  readonly partition: number;
  readonly offset: number;
  readonly event: LogEvent | null;
  readonly spoolNumber: SpoolNumber | null;
}

/** Sequence number that a gateway's spool assigned to an event, and the run id of the spool. */
export interface SpoolNumber {
  readonly run: string;
  readonly number: number;
}

export type LogEvent = EventHead &
  (
    | { readonly kind: 'request'; readonly key: IdentityKey; readonly timeMs: number }
    /** `firstKey` is the key of the row in `stored_ids` that holds the first Kafka offset of the event's id. */
    | { readonly kind: 'external'; readonly firstKey: string }
    | { readonly kind: 'correction'; readonly targets: readonly IdentityKey[] }
  );

interface EventHead {
  readonly tenantId: string;
  readonly id: string;
}

/** Reads the identity of a record's event. Never throws, and does not validate the event's content: the aggregator does. */
export function readLogRecord(record: ConsumedMessage): LogRecord {
  const { partition, offset, value } = record;
  return { partition, offset, event: identityOf(record), spoolNumber: spoolNumberIn(value) };
}

/** Reads only the first bytes of a value, so that the sequence number is also found in a truncated value or in invalid JSON. */
export function spoolNumberIn(value: Buffer | null): SpoolNumber | null {
  const head = value?.subarray(0, 200).toString('latin1') ?? '';
  const [, run = '', number = ''] = /^\{"spool":"([0-9a-z.]+)","spoolsequence":(\d{1,16}),/.exec(head) ?? [];
  return run === '' ? null : { run, number: Number(number) };
}

function identityOf(record: ConsumedMessage): LogEvent | null {
  const found = eventOf(record);
  if ('violation' in found) return null;
  const fields = found.event;
  const [id, source] = [textIn(fields, 'id'), textIn(fields, 'source')];
  const [type, tenantId] = [textIn(fields, 'type'), textIn(fields, 'subject')];
  const timeMs = readInstant(textIn(fields, 'time') ?? '');
  if (id === null || source === null || type === null || tenantId === null || timeMs === null) return null;
  if (type === amendEventType || type === voidEventType) {
    return { kind: 'correction', tenantId, id, targets: targetsOf(tenantId, source, fields['data']) };
  }
  if (type !== requestEventType) {
    return { kind: 'external', tenantId, id, firstKey: externalKey(tenantId, source, id) };
  }
  const { idA, idB } = requestIdentity(id, timeMs) ?? externalIdentity(tenantId, source, id);
  return { kind: 'request', tenantId, id, key: { tenantId, idA, idB }, timeMs };
}

/**
 * Returns the identities of the events that a correction may name: of a request with this id, and of another event with this
 * source and id.
 */
function targetsOf(tenantId: string, source: string, data: unknown): IdentityKey[] {
  const fields = typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : {};
  const id = textIn(fields, 'event_id');
  if (id === null) return [];
  const timeMs = uuidTimeMs(id);
  const identities = [
    timeMs === null ? null : requestIdentity(id, timeMs),
    externalIdentity(tenantId, textIn(fields, 'event_source') ?? source, id),
  ];
  return identities.flatMap((identity) =>
    identity === null ? [] : [{ tenantId, idA: identity.idA, idB: identity.idB }],
  );
}

function textIn(fields: Readonly<Record<string, unknown>>, name: string): string | null {
  const value = fields[name];
  return typeof value === 'string' ? value : null;
}
