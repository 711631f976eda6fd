import type { CorrectionData } from '../../shared/domain/correction.ts';
import { amendEventType, voidEventType } from '../../shared/domain/correction.ts';
import { outcomes } from '../../shared/domain/decision.ts';
import { idLengthMax } from '../../shared/domain/identity.ts';
import { readInstant } from '../../shared/domain/instant.ts';
import { spoolRunLengthMax } from '../../shared/domain/spool-run.ts';
import { requestEventType } from '../../shared/domain/usage-event.ts';
import { foreignIdentity, foreignKey, requestIdentity } from '../../shared/clickhouse/event-identity.ts';
import { boolean, correctionOf, integer, number, object, Refusal, strings, text } from './fields.ts';
import type { Json } from './fields.ts';
import type { StoredEvent } from './stored-event.ts';

/** One record of the usage topic, as read. */
export interface LogRecord {
  readonly partition: number;
  readonly offset: number;
  readonly value: Buffer | null;
}

export type Decoded =
  /** A request: its id carries its time, so it can be stored at once. */
  | { readonly kind: 'request'; readonly event: StoredEvent }
  /** An event of somebody else: `key` tells whether its id was seen before. */
  | { readonly kind: 'foreign'; readonly event: StoredEvent; readonly key: string }
  | { readonly kind: 'correction'; readonly correction: Correction }
  | { readonly kind: 'dead'; readonly reason: string };

export interface Correction {
  readonly tenantId: string;
  readonly source: string;
  readonly voids: boolean;
  readonly data: CorrectionData;
  readonly partition: number;
  readonly offset: number;
}

export interface DecodeBounds {
  /** Events older than this are refused: a minute that is partly past its retention must never be computed again. */
  readonly latenessMsMax: number;
  /** Events further in the future are refused: a clock is wrong. */
  readonly aheadMsMax: number;
  readonly eventBytesMax: number;
}

const dayMs = 86_400_000;

export const decodeBoundsDefault: DecodeBounds = {
  latenessMsMax: 365 * dayMs,
  aheadMsMax: 10 * 60_000,
  eventBytesMax: 256 * 1024,
};

const propertiesMax = 64;
const propertyBytesMax = 4_096;

/** Reads one record. Never throws: what cannot be read is `dead`, with a reason an operator can act on. */
export function decode(record: LogRecord, nowMs: number, bounds: DecodeBounds): Decoded {
  try {
    return decodeEvent(record, nowMs, bounds);
  } catch (error) {
    if (error instanceof Refusal) return { kind: 'dead', reason: error.message };
    throw error;
  }
}

function decodeEvent(record: LogRecord, nowMs: number, bounds: DecodeBounds): Decoded {
  const envelope = parse(record.value, bounds);
  if (envelope['specversion'] !== '1.0') throw new Refusal('specversion is not "1.0"');
  const id = text(envelope, 'id', idLengthMax, 1);
  const source = text(envelope, 'source', idLengthMax, 1);
  const type = text(envelope, 'type', 128, 1);
  const tenantId = text(envelope, 'subject', idLengthMax, 1);
  const timeMs = timeOf(envelope, nowMs, bounds);
  const place = { partition: record.partition, offset: record.offset };
  const data = object(envelope, 'data');
  if (type === amendEventType || type === voidEventType) {
    const voids = type === voidEventType;
    return {
      kind: 'correction',
      correction: { tenantId, source, voids, data: correctionOf(data), ...place },
    };
  }
  const spool = text(envelope, 'spool', spoolRunLengthMax, 0, '');
  const head = { timeMs, tenantId, revision: 0, voided: false, type, spool, ...place };
  if (type === requestEventType) {
    const identity = requestIdentity(id, timeMs) ?? foreignIdentity(tenantId, source, id);
    return { kind: 'request', event: { ...head, ...identity, ...requestFields(data, source) } };
  }
  const identity = foreignIdentity(tenantId, source, id);
  const sequence = spool === '' ? 0 : integer(envelope, 'spoolsequence', Number.MAX_SAFE_INTEGER);
  const event = { ...head, ...identity, ...foreignFields(data), sequence, source };
  return { kind: 'foreign', event, key: foreignKey(tenantId, source, id) };
}

function parse(value: Buffer | null, bounds: DecodeBounds): Json {
  if (value === null) throw new Refusal('the record has no value');
  if (value.length > bounds.eventBytesMax) {
    throw new Refusal(`the event has ${value.length} bytes, more than ${bounds.eventBytesMax}`);
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(value.toString('utf8'));
  } catch {
    throw new Refusal('the event is not JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new Refusal('the event is not a JSON object');
  }
  return parsed as Json;
}

function timeOf(envelope: Json, nowMs: number, bounds: DecodeBounds): number {
  const time = text(envelope, 'time', 64, 1);
  const timeMs = readInstant(time);
  if (timeMs === null) throw new Refusal('time is not an RFC 3339 time');
  if (timeMs > nowMs + bounds.aheadMsMax) {
    throw new Refusal(`time ${time} is more than ${bounds.aheadMsMax / 1000} s in the future`);
  }
  if (timeMs < nowMs - bounds.latenessMsMax) {
    throw new Refusal(`time ${time} is more than ${bounds.latenessMsMax / dayMs} days ago`);
  }
  return timeMs;
}

type Fields = Omit<
  StoredEvent,
  | 'timeMs'
  | 'tenantId'
  | 'revision'
  | 'voided'
  | 'type'
  | 'spool'
  | 'partition'
  | 'offset'
  | 'idSkewMs'
  | 'idA'
  | 'idB'
  | 'foreignId'
>;

function requestFields(data: Json, source: string): Fields {
  const decision = text(data, 'decision', 32);
  if (!(outcomes as readonly string[]).includes(decision))
    throw new Refusal('data.decision is not a decision');
  const node = text(data, 'node', idLengthMax);
  return {
    source: source === `tollgate/${node}` ? '' : source,
    userId: text(data, 'user_id', idLengthMax),
    plan: text(data, 'plan', idLengthMax),
    method: text(data, 'method', 32),
    route: text(data, 'route', 512),
    path: text(data, 'path', 512),
    status: integer(data, 'status', 999),
    decision,
    limitedBy: strings(data, 'limited_by'),
    units: number(data, 'units'),
    cost: number(data, 'cost'),
    latencyMs: number(data, 'latency_ms'),
    checkMicros: Math.min(integer(data, 'check_us', Number.MAX_SAFE_INTEGER), 4_294_967_295),
    node,
    sequence: integer(data, 'sequence', Number.MAX_SAFE_INTEGER),
    degraded: boolean(data, 'degraded'),
    clientIp: text(data, 'client_ip', 64),
    service: text(data, 'service', idLengthMax),
    door: text(data, 'door', 32),
    properties: sampling(data),
  };
}

/** An event that stands for several requests says so among its properties: the totals count it once. */
function sampling(data: Json): Readonly<Record<string, string>> {
  if (data['sample_weight'] === undefined) return noProperties;
  return { sample_weight: String(integer(data, 'sample_weight', sampleWeightMax)) };
}

const noProperties = {};
const sampleWeightMax = 1_000_000;

/** Fields of `data` that have a column of their own also in events of somebody else; all else is a property. */
const foreignColumns = new Set(['units', 'cost', 'user_id', 'plan', 'route']);

/** An event of an API server's own consumes only what it says: units and cost are 0 where it says nothing. */
function foreignFields(data: Json): Omit<Fields, 'source'> {
  return {
    userId: text(data, 'user_id', idLengthMax, 0, ''),
    plan: text(data, 'plan', idLengthMax, 0, ''),
    method: '',
    route: text(data, 'route', 512, 0, ''),
    path: '',
    status: 0,
    decision: 'allowed',
    limitedBy: [],
    units: number(data, 'units', 0),
    cost: number(data, 'cost', 0),
    latencyMs: 0,
    checkMicros: 0,
    node: '',
    sequence: 0,
    degraded: false,
    clientIp: '',
    service: '',
    door: 'events',
    properties: propertiesOf(data),
  };
}

function propertiesOf(data: Json): Record<string, string> {
  const properties: Record<string, string> = {};
  const names = Object.keys(data).filter((name) => !foreignColumns.has(name));
  if (names.length > propertiesMax) throw new Refusal(`data has more than ${propertiesMax} properties`);
  for (const name of names) {
    const value = data[name];
    if (value === null || value === undefined) continue;
    const written = typeof value === 'string' ? value : JSON.stringify(value);
    if (!name.isWellFormed() || !written.isWellFormed()) throw new Refusal('data is not well-formed Unicode');
    if (name.length > 128) throw new Refusal('data has a property whose name is longer than 128 characters');
    if (written.length > propertyBytesMax) {
      throw new Refusal(`data.${name} is longer than ${propertyBytesMax} characters`);
    }
    properties[name] = written;
  }
  return properties;
}
