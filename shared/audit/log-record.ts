import { amendEventType, voidEventType } from '../domain/events/correction.ts';
import { readInstant } from '../domain/time/instant.ts';
import { requestEventType } from '../domain/usage-event.ts';
import { externalIdentity, externalKey, requestIdentity } from '../clickhouse/queries/event-identity.ts';
import { uuidTimeMs } from '../runtime/uuid-time.ts';
import type { IdentityKey } from '../clickhouse/queries/stored-identities.ts';
import { eventOf } from '../domain/topics/cloud-event.ts';
import type { ConsumedMessage } from '../kafka/message.ts';

/** The parts of a record of the usage topic that the audit needs; `event` is null where the identity cannot be read. */
export interface LogRecord {
  readonly partition: number;
  readonly offset: number;
  readonly event: LogEvent | null;
  readonly spoolNumber: SpoolNumber | null;
}

/** Sequence number of an event within its spool run. */
export interface SpoolNumber {
  readonly run: string;
  readonly number: number;
}

export type LogEvent = EventHead &
  (
    | { readonly kind: 'request'; readonly key: IdentityKey; readonly timeMs: number }
    /** `firstKey` finds the first place of the id. */
    | { readonly kind: 'external'; readonly firstKey: string }
    | { readonly kind: 'correction'; readonly targets: readonly IdentityKey[] }
  );

interface EventHead {
  readonly tenantId: string;
  readonly id: string;
}

/** Never throws: the audit needs only the identity of the event; the aggregator validates its content. */
export function readLogRecord(record: ConsumedMessage): LogRecord {
  const { partition, offset, value } = record;
  return { partition, offset, event: identityOf(record), spoolNumber: spoolNumberIn(value) };
}

/** Reads the first bytes only, so that the number is also found in a cut value or in one that is not JSON. */
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

/** Returns the identities that a correction may name: a request by its id alone, other events by source and id. */
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
