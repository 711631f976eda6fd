import type { TopicRecord } from './record.ts';

/** Value of `tollgate.dead-letters.v1`: a record that Tollgate could not read, process or send. */
export interface DeadLetter {
  /** Why it became a dead letter, as one sentence for an operator. */
  readonly reason: string;
  /** Topic that the record was read from, or to which it could not be sent. */
  readonly topic: string;
  /** Partition of the record; null if the record never reached the topic. */
  readonly partition: number | null;
  readonly offset: number | null;
  /** Last offset of a record batch; equal to `offset` for a single record. */
  readonly lastOffset: number | null;
  /** `batch`: the value is a complete record batch with its header, because the records in it cannot be decoded. */
  readonly holds: 'record' | 'batch';
  /** Tenant that the record belongs to; null if the record names none. */
  readonly tenantId: string | null;
  /** Consumer group that could not process the record; empty if no consumer group was involved. */
  readonly group: string;
  readonly key: Buffer | string | null;
  /** Headers of the record. For an event in binary mode they are its attributes. */
  readonly headers: Readonly<Record<string, string>>;
  /** The original bytes; only their beginning if `cut` is true. */
  readonly value: Buffer;
  /** Length of the original value in bytes. */
  readonly bytes: number;
  readonly cut: boolean;
  readonly atMs: number;
}

/**
 * Default values of a dead letter: the tenant that the record's key or value names, `offset` as last offset, no
 * headers.
 */
export type NewDeadLetter = Pick<
  DeadLetter,
  'reason' | 'topic' | 'partition' | 'offset' | 'key' | 'value' | 'atMs'
> &
  Partial<Pick<DeadLetter, 'lastOffset' | 'holds' | 'tenantId' | 'group' | 'headers'>>;

/** A record to send to Kafka. */
export interface DeadLetterRecord {
  readonly key: Buffer | string | null;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

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
/** Names of the headers that describe a dead letter. */
export const deadLetterHeaders: readonly string[] = Object.values(header);

const ownPrefix = 'tollgate-';

/**
 * Largest value that a dead letter stores; a longer value is cut. With its key and headers a dead letter then stays
 * below the default `message.max.bytes` (1 MiB).
 */
const valueBytesMaxDefault = 960_000;
const keyBytesMax = 16_384;
/**
 * Largest total size of the headers. If the record's headers are larger, the dead letter has none of them and `cut`
 * is true.
 */
const headersBytesMax = 64 * 1024;
const reasonLengthMax = 1_000;
const tenantLengthMax = 256;

/**
 * Builds the Kafka record of a dead letter. It contains the value and headers of the original record unchanged, so
 * that a replay sends an exact copy. Additional headers describe the dead letter.
 */
export function deadLetterRecord(
  letter: NewDeadLetter,
  valueBytesMax = valueBytesMaxDefault,
): DeadLetterRecord {
  const { partition, offset, lastOffset = offset, holds = 'record', group = '', key } = letter;
  const original = originalHeaders(letter.headers ?? {});
  const tenantId = letter.tenantId === undefined ? tenantOf(letter) : letter.tenantId;
  return {
    key: key !== null && Buffer.byteLength(key) > keyBytesMax ? null : key,
    value: letter.value.subarray(0, valueBytesMax),
    headers: {
      ...original,
      [header.reason]: letter.reason.slice(0, reasonLengthMax),
      [header.topic]: letter.topic,
      ...(partition !== null && { [header.partition]: String(partition) }),
      ...(offset !== null && { [header.offset]: String(offset) }),
      ...(lastOffset !== offset && { [header.lastOffset]: String(lastOffset) }),
      ...(holds !== 'record' && { [header.holds]: holds }),
      ...(tenantId !== null && { [header.tenant]: tenantId }),
      ...(group !== '' && { [header.group]: group }),
      [header.bytes]: String(letter.value.length),
      ...(original === null && { [header.cutHeaders]: 'true' }),
      [header.at]: new Date(letter.atMs).toISOString(),
    },
  };
}

/**
 * Reads a record that `deadLetterRecord` built. For a record of another writer, returns its bytes and leaves the
 * other fields empty.
 */
export function readDeadLetter(message: TopicRecord): DeadLetter {
  const { key, keyBytes, headers, timestampMs } = message;
  const value = message.value ?? Buffer.alloc(0);
  const bytes = readSize(headers[header.bytes]) ?? value.length;
  const offset = readNumber(headers[header.offset]);
  return {
    reason: headers[header.reason] ?? '',
    topic: headers[header.topic] ?? '',
    partition: readNumber(headers[header.partition]),
    offset,
    lastOffset: readNumber(headers[header.lastOffset]) ?? offset,
    holds: headers[header.holds] === 'batch' ? 'batch' : 'record',
    tenantId: headers[header.tenant] ?? tenantOf({ key: keyBytes ?? key, value, headers }),
    group: headers[header.group] ?? '',
    key: keyBytes ?? key,
    headers: originalHeaders(headers) ?? {},
    value,
    bytes,
    cut: bytes > value.length || headers[header.cutHeaders] !== undefined,
    atMs: timeOf(headers[header.at], timestampMs),
  };
}

/**
 * Returns `subject` or `tenant_id` from the record's value; if it has neither, the record's key, which is the tenant
 * id on all topics except one.
 */
function tenantOf({
  key,
  value,
  headers = {},
}: Pick<NewDeadLetter, 'key' | 'value' | 'headers'>): string | null {
  const subject = headers['ce_subject'];
  if (subject !== undefined && isTenantId(subject)) return subject;
  try {
    const fields = JSON.parse(value.toString()) as Readonly<Record<string, unknown>> | null;
    const name = [fields?.['subject'], fields?.['tenant_id']].find((field) => typeof field === 'string');
    if (typeof name === 'string' && isTenantId(name)) return name;
  } catch {
    // The value is not JSON, so it names no tenant.
  }
  const text = key?.toString() ?? '';
  return isTenantId(text) ? text : null;
}

function isTenantId(text: string): boolean {
  return text !== '' && text.length <= tenantLengthMax && text.isWellFormed() && !text.includes('\uFFFD');
}

/**
 * Returns the headers of the original record without those that an earlier replay added; null if they are too large.
 */
function originalHeaders(headers: DeadLetter['headers']): DeadLetter['headers'] | null {
  const entries = Object.entries(headers).filter(([name]) => !name.startsWith(ownPrefix));
  const bytes = entries.reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value),
    0,
  );
  return bytes > headersBytesMax ? null : Object.fromEntries(entries);
}

function readNumber(text: string | undefined): number | null {
  const number = text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
  return Number.isSafeInteger(number) ? number : null;
}

/** Size limit of a record in Kafka. */
const recordBytesMax = 2 ** 31 - 1;

function readSize(text: string | undefined): number | null {
  const bytes = readNumber(text);
  return bytes === null || bytes > recordBytesMax ? null : bytes;
}

const [earlierMsMax, laterMsMax] = [86_400_000, 60_000];
const latestMs = Date.UTC(9999, 0);

/**
 * Returns the time in the header if it is close to the timestamp of the record, otherwise that timestamp. The list of
 * dead letters is sorted by this time, and any client that may write to the topic can set the header to any time.
 */
function timeOf(stated: string | undefined, timestampMs: number | null): number {
  const kafkaMs = timestampMs !== null && timestampMs >= 0 && timestampMs < latestMs ? timestampMs : 0;
  const statedMs = Date.parse(stated ?? '');
  return statedMs >= kafkaMs - earlierMsMax && statedMs <= kafkaMs + laterMsMax ? statedMs : kafkaMs;
}
