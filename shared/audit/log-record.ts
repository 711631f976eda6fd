import { amendEventType, voidEventType } from '../domain/correction.ts';
import { readInstant } from '../domain/time/instant.ts';
import { requestEventType } from '../domain/usage-event.ts';
import { externalIdentity, externalKey, requestIdentity } from '../clickhouse/queries/event-identity.ts';
import { uuidTimeMs } from '../runtime/uuid-time.ts';
import type { IdentityKey } from '../clickhouse/queries/stored-identities.ts';
import { eventOf } from '../domain/topics/cloud-event.ts';
import type { ConsumedMessage } from '../kafka/message.ts';

/** A record of the usage topic as far as the audit needs it; null where the event cannot be read that far. */
export interface LogRecord {
  readonly partition: number;
  readonly offset: number;
  readonly event: LogEvent | null;
  readonly stamp: SpoolNumber | null;
}

export interface SpoolNumber {
  readonly run: string;
  readonly number: number;
}

export type LogEvent = EventHead &
  (
    | { readonly kind: 'request'; readonly key: IdentityKey; readonly timeMs: number }
    /** `firstKey` finds where the id was first seen. */
    | { readonly kind: 'external'; readonly firstKey: string }
    | { readonly kind: 'correction'; readonly targets: readonly IdentityKey[] }
  );

interface EventHead {
  readonly tenantId: string;
  readonly id: string;
}

/** Never throws: the aggregator judges what an event is worth, here only its identity counts. */
export function readLogRecord(record: ConsumedMessage): LogRecord {
  const { partition, offset, value } = record;
  return { partition, offset, event: identified(record), stamp: stampIn(value) };
}

/** Read from the first bytes, so that it is found in what is cut or is no JSON. */
export function stampIn(value: Buffer | null): SpoolNumber | null {
  const head = value?.subarray(0, 200).toString('latin1') ?? '';
  const [, run = '', number = ''] = /^\{"spool":"([0-9a-z.]+)","spoolsequence":(\d{1,16}),/.exec(head) ?? [];
  return run === '' ? null : { run, number: Number(number) };
}

function identified(record: ConsumedMessage): LogEvent | null {
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

/** The identities that a correction may mean: a request is named by its id alone, other events by source and id. */
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
