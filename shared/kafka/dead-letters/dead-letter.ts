import type { ConsumedMessage } from '../message.ts';
import type { ProducerRecord } from '../producer/producer.ts';

/** A record that could not be read, handled or sent, as `tollgate.dead-letters.v1` keeps it. */
export interface DeadLetter {
  /** One sentence for a person. */
  readonly reason: string;
  /** Where it stood: the topic it was read from, or was meant for. */
  readonly topic: string;
  /** Null for what never reached the topic. */
  readonly partition: number | null;
  readonly offset: number | null;
  /** Last offset of a batch; `offset` of a record. */
  readonly lastOffset: number | null;
  /** `batch`: the value is a whole record batch as it stands in Kafka's log, because its records cannot be told apart. */
  readonly holds: 'record' | 'batch';
  /** The tenant whose record it is, as far as that can be told. */
  readonly tenantId: string | null;
  /** Consumer group that could not handle it; empty where none was involved. */
  readonly group: string;
  readonly key: Buffer | string | null;
  /** The record's own headers: an event in binary form has its attributes there. */
  readonly headers: Readonly<Record<string, string>>;
  /** The original bytes, or their beginning where `cut`. */
  readonly value: Buffer;
  /** Length of the original value. */
  readonly bytes: number;
  readonly cut: boolean;
  readonly atMs: number;
}

/** What is not given is derived: the tenant from key and value, one offset, no headers. */
export type NewDeadLetter = Pick<
  DeadLetter,
  'reason' | 'topic' | 'partition' | 'offset' | 'key' | 'value' | 'atMs'
> &
  Partial<Pick<DeadLetter, 'lastOffset' | 'holds' | 'tenantId' | 'group' | 'headers'>>;

const header = {
  reason: 'tollgate-reason',
  topic: 'tollgate-topic',
  partition: 'tollgate-partition',
  offset: 'tollgate-offset',
  lastOffset: 'tollgate-last-offset',
  holds: 'tollgate-holds',
  tenant: 'tollgate-tenant',
  group: 'tollgate-group',
  bytes: 'tollgate-bytes',
  cutHeaders: 'tollgate-cut-headers',
  at: 'tollgate-at',
};
const ownPrefix = 'tollgate-';

/** What is longer is cut. With key and headers it stays below what a broker takes unless told otherwise (1 MiB). */
const valueBytesMaxDefault = 960_000;
const keyBytesMax = 16_384;
/** Of the record's own headers; larger ones are left out as a whole, and the letter says that it is cut. */
const headersBytesMax = 64 * 1024;
const reasonLengthMax = 1_000;
const tenantLengthMax = 256;

/**
 * The original value stays the value, byte for byte, and its headers stay headers, so that a replay is a copy; what is
 * said about it travels in headers of its own.
 */
export function deadLetterRecord(
  letter: NewDeadLetter,
  valueBytesMax = valueBytesMaxDefault,
): ProducerRecord {
  const { partition, offset, lastOffset = offset, holds = 'record', group = '', key } = letter;
  const kept = keptHeaders(letter.headers ?? {});
  const tenantId = letter.tenantId === undefined ? tenantOf(letter) : letter.tenantId;
  return {
    key: key !== null && Buffer.byteLength(key) > keyBytesMax ? null : key,
    value: letter.value.subarray(0, valueBytesMax),
    headers: {
      ...kept,
      [header.reason]: letter.reason.slice(0, reasonLengthMax),
      [header.topic]: letter.topic,
      ...(partition !== null && { [header.partition]: String(partition) }),
      ...(offset !== null && { [header.offset]: String(offset) }),
      ...(lastOffset !== offset && { [header.lastOffset]: String(lastOffset) }),
      ...(holds !== 'record' && { [header.holds]: holds }),
      ...(tenantId !== null && { [header.tenant]: tenantId }),
      ...(group !== '' && { [header.group]: group }),
      [header.bytes]: String(letter.value.length),
      ...(kept === null && { [header.cutHeaders]: 'true' }),
      [header.at]: new Date(letter.atMs).toISOString(),
    },
  };
}

/** Reads what `deadLetterRecord` wrote. Of records by other writers it keeps the bytes and leaves the rest empty. */
export function readDeadLetter(message: Omit<ConsumedMessage, 'topic' | 'partition' | 'offset'>): DeadLetter {
  const { key, keyBytes, headers, timestampMs } = message;
  const value = message.value ?? Buffer.alloc(0);
  const bytes = sizeIn(headers[header.bytes]) ?? value.length;
  const offset = numberIn(headers[header.offset]);
  return {
    reason: headers[header.reason] ?? '',
    topic: headers[header.topic] ?? '',
    partition: numberIn(headers[header.partition]),
    offset,
    lastOffset: numberIn(headers[header.lastOffset]) ?? offset,
    holds: headers[header.holds] === 'batch' ? 'batch' : 'record',
    tenantId: headers[header.tenant] ?? tenantOf({ key: keyBytes ?? key, value, headers }),
    group: headers[header.group] ?? '',
    key: keyBytes ?? key,
    headers: keptHeaders(headers) ?? {},
    value,
    bytes,
    cut: bytes > value.length || headers[header.cutHeaders] !== undefined,
    atMs: timeOf(headers[header.at], timestampMs),
  };
}

/** The record names its tenant as its `subject` or `tenant_id`; else the key, which is the tenant on every topic but one. */
function tenantOf({
  key,
  value,
  headers = {},
}: Pick<NewDeadLetter, 'key' | 'value' | 'headers'>): string | null {
  const subject = headers['ce_subject'];
  if (subject !== undefined && isTenantId(subject)) return subject;
  try {
    const fields = JSON.parse(value.toString()) as Readonly<Record<string, unknown>> | null;
    const named = [fields?.['subject'], fields?.['tenant_id']].find((name) => typeof name === 'string');
    if (typeof named === 'string' && isTenantId(named)) return named;
  } catch {
    // What is no JSON names no tenant.
  }
  const text = key?.toString() ?? '';
  return isTenantId(text) ? text : null;
}

function isTenantId(text: string): boolean {
  return text !== '' && text.length <= tenantLengthMax && text.isWellFormed() && !text.includes('\uFFFD');
}

/** Null where they are too large. Of a letter that was replayed the header that says so is not its own. */
function keptHeaders(headers: DeadLetter['headers']): DeadLetter['headers'] | null {
  const own = Object.entries(headers).filter(([name]) => !name.startsWith(ownPrefix));
  const bytes = own.reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value),
    0,
  );
  return bytes > headersBytesMax ? null : Object.fromEntries(own);
}

function numberIn(text: string | undefined): number | null {
  const number = text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
  return Number.isSafeInteger(number) ? number : null;
}

/** No record of Kafka has more. */
const recordBytesMax = 2 ** 31 - 1;

function sizeIn(text: string | undefined): number | null {
  const bytes = numberIn(text);
  return bytes === null || bytes > recordBytesMax ? null : bytes;
}

const [earlierMsMax, laterMsMax] = [86_400_000, 60_000];
const latestMs = Date.UTC(9999, 0);

/**
 * When the letter was written, as it says, where Kafka's own time of it is near: anybody who may write to the topic may say
 * anything, and the list is in order of time.
 */
function timeOf(said: string | undefined, timestampMs: number | null): number {
  const kafkaMs = timestampMs !== null && timestampMs >= 0 && timestampMs < latestMs ? timestampMs : 0;
  const saidMs = Date.parse(said ?? '');
  return saidMs >= kafkaMs - earlierMsMax && saidMs <= kafkaMs + laterMsMax ? saidMs : kafkaMs;
}
