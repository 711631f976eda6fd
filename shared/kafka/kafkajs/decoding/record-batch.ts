import { crc32c } from '../crc32c.ts';
import { ByteReader, MalformedRecords } from './byte-reader.ts';
import { decompress } from './codecs.ts';
import { gap, possibleTime, unreadable } from './log-entry.ts';
import type { LogEntry, RecordEntry, RecordHeader } from './log-entry.ts';

/** Where the bytes of a batch stand, and what is known of its surroundings. */
export interface BatchBytes {
  readonly bytes: Buffer;
  readonly baseOffset: number;
  /** Offset of the batch behind it; null where it is not known. */
  readonly nextOffset: number | null;
}

export interface DecodedBatch {
  readonly entries: readonly LogEntry[];
  /** Bytes after decompression. */
  readonly plainBytes: number;
}

const crcAt = 17;
const attributesAt = 21;
const logAppendTime = 0x8;
const transactional = 0x10;
const control = 0x20;

/** The largest batch that is decompressed: about 20 times what a broker takes unless told otherwise. */
export const plainBytesMax = 32 * 1024 * 1024;
/** Records of one batch: at some hundred bytes of memory each this bounds what a batch of tiny records takes. */
export const batchRecordsMax = 250_000;

/**
 * Decodes a batch of message format 2. Never rejects: a batch that cannot be decoded is one `unreadable` entry, and of a
 * batch with a malformed record in it the records before that one are kept.
 */
export async function decodeBatch(batch: BatchBytes): Promise<DecodedBatch> {
  const { bytes, baseOffset } = batch;
  const entries: LogEntry[] = [];
  let plainBytes = bytes.length;
  let lastOffset = baseOffset;
  let next = baseOffset;
  try {
    const head = new ByteReader(bytes, crcAt);
    const crc = head.uint32();
    const context = readContext(head);
    const { attributes } = context;
    const isWhole = crc32c(bytes, attributesAt) === crc;
    lastOffset = isWhole ? baseOffset + Math.max(0, context.lastOffsetDelta) : likelyLast(batch, context);
    if (!isWhole) throw new MalformedRecords('its checksum is wrong');
    if (!(context.count >= 0 && context.count <= batchRecordsMax)) {
      throw new MalformedRecords(`it says to have ${context.count} records`);
    }
    const plain = await decompress(attributes, bytes.subarray(head.at), plainBytesMax);
    plainBytes = plain.length;
    const records = new ByteReader(plain);
    for (let index = 0; index < context.count; index += 1) {
      const { offsetDelta, entry } = readRecord(records, baseOffset, context);
      if (!(baseOffset + offsetDelta >= next && baseOffset + offsetDelta <= lastOffset)) {
        throw new MalformedRecords('its offsets are not in order');
      }
      next = baseOffset + offsetDelta + 1;
      entries.push(entry);
    }
    if (next <= lastOffset) entries.push(gap(lastOffset));
  } catch (error) {
    if (!(error instanceof MalformedRecords)) throw error;
    entries.push(
      unreadable({ firstOffset: next, lastOffset: Math.max(lastOffset, next), reason: error.message, bytes }),
    );
  }
  return { entries, plainBytes };
}

interface Context {
  readonly attributes: number;
  readonly lastOffsetDelta: number;
  readonly firstTimestamp: number;
  readonly maxTimestamp: number;
  readonly producerId: bigint;
  readonly count: number;
}

function readContext(head: ByteReader): Context {
  const attributes = head.int16();
  const lastOffsetDelta = head.int32();
  const firstTimestamp = Number(head.int64());
  const maxTimestamp = Number(head.int64());
  const producerId = head.int64();
  // Epoch of the producer and its first sequence number: the broker's concern.
  head.take(2 + 4);
  return { attributes, lastOffsetDelta, firstTimestamp, maxTimestamp, producerId, count: head.int32() };
}

/**
 * Last offset of a batch whose header cannot be trusted. Too small a number costs fetching it again, one offset further,
 * until it is passed; too large a one would pass over records that can be read.
 */
function likelyLast({ baseOffset, nextOffset }: BatchBytes, { lastOffsetDelta, count }: Context): number {
  if (nextOffset !== null) return Math.max(baseOffset, nextOffset - 1);
  return lastOffsetDelta === count - 1 && count <= batchRecordsMax
    ? baseOffset + Math.max(0, lastOffsetDelta)
    : baseOffset;
}

function readRecord(
  reader: ByteReader,
  baseOffset: number,
  context: Context,
): { readonly offsetDelta: number; readonly entry: LogEntry } {
  const { attributes, firstTimestamp, maxTimestamp, producerId } = context;
  const length = reader.varint();
  if (!(length >= 0 && length <= reader.left)) throw new MalformedRecords('a record is cut off');
  const end = reader.at + length;
  reader.int8();
  const timestampDelta = reader.varint();
  const offsetDelta = reader.varint();
  const key = reader.varintBytes();
  const value = reader.varintBytes();
  const headers = readHeaders(reader);
  if (reader.at > end) throw new MalformedRecords('a record is longer than it says');
  reader.at = end;
  const offset = String(baseOffset + offsetDelta);
  if ((attributes & control) !== 0) return { offsetDelta, entry: markerOf(offset, key, producerId) };
  const timestamp = (attributes & logAppendTime) === 0 ? firstTimestamp + timestampDelta : maxTimestamp;
  const entry: RecordEntry = {
    kind: 'record',
    offset,
    isControlRecord: false,
    key,
    value,
    headers,
    timestampMs: possibleTime(timestamp),
    transaction: (attributes & transactional) === 0 ? null : producerId,
  };
  return { offsetDelta, entry };
}

const noHeaders: readonly RecordHeader[] = [];

function readHeaders(reader: ByteReader): readonly RecordHeader[] {
  const count = reader.varint();
  if (count === 0) return noHeaders;
  // Two bytes is the least that a header takes.
  if (!(count > 0 && count * 2 <= reader.left)) throw new MalformedRecords('a record has too many headers');
  const headers: RecordHeader[] = [];
  for (let index = 0; index < count; index += 1) {
    const name = reader.varintBytes()?.toString() ?? '';
    headers.push([name, reader.varintBytes()]);
  }
  return headers;
}

/** The key of a control record: version and type, of which 0 aborts and 1 commits. Others concern brokers. */
function markerOf(offset: string, key: Buffer | null, transaction: bigint): LogEntry {
  const type = key !== null && key.length >= 4 ? key.readInt16BE(2) : -1;
  if (type !== 0 && type !== 1) return gap(Number(offset));
  return { kind: 'marker', offset, isControlRecord: false, transaction, committed: type === 1 };
}
