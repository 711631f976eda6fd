import { crc32c } from '../crc32c.ts';
import { ByteReader, MalformedRecords } from './byte-reader.ts';
import { decompress } from './codecs.ts';
import { gap, possibleTime, unreadable } from './log-entry.ts';
import type { LogEntry, RecordEntry, RecordHeader } from './log-entry.ts';

/** The bytes of a batch, with its own offset and the offset of the next batch. */
export interface BatchBytes {
  readonly bytes: Buffer;
  readonly baseOffset: number;
  /** Offset of the next batch; null for the last batch of a fetch. */
  readonly nextOffset: number | null;
}

export interface DecodedBatch {
  readonly entries: readonly LogEntry[];
  /** Number of bytes after decompression. */
  readonly plainBytes: number;
}

const crcAt = 17;
const attributesAt = 21;
const logAppendTime = 0x8;
const transactional = 0x10;
const control = 0x20;

/** Largest size of a decompressed batch: about 30 times the default `message.max.bytes` of a broker. */
export const plainBytesMax = 32 * 1024 * 1024;
/** Largest number of records in one batch: even a small record needs some hundred bytes of memory. */
export const batchRecordsMax = 250_000;

/**
 * Decodes a batch of message format 2. Never rejects: a batch that cannot be decoded becomes one `unreadable` entry. If
 * a record of the batch is malformed, the records before it become valid entries.
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
    const isIntact = crc32c(bytes, attributesAt) === crc;
    lastOffset = isIntact ? baseOffset + Math.max(0, context.lastOffsetDelta) : likelyLast(batch, context);
    if (!isIntact) throw new MalformedRecords('its checksum is wrong');
    if (!(context.count >= 0 && context.count <= batchRecordsMax)) {
      throw new MalformedRecords(`the number of records in its header is ${context.count}`);
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
  // Skips producerEpoch and baseSequence, which only brokers use.
  head.take(2 + 4);
  return { attributes, lastOffsetDelta, firstTimestamp, maxTimestamp, producerId, count: head.int32() };
}

/**
 * Estimates the last offset of a batch with a wrong checksum, whose header may be wrong too. If the estimate is too
 * small, the batch is fetched several times, each time one offset further. If it is too large, valid records are
 * skipped. So it is below the offset of the next batch; for the last batch of a fetch, at most the last offset in the
 * header.
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
  if (reader.at > end) throw new MalformedRecords('a record is longer than its stated length');
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
  // Every header of a record has at least two bytes.
  if (!(count > 0 && count * 2 <= reader.left)) throw new MalformedRecords('a record has too many headers');
  const headers: RecordHeader[] = [];
  for (let index = 0; index < count; index += 1) {
    const name = reader.varintBytes()?.toString() ?? '';
    headers.push([name, reader.varintBytes()]);
  }
  return headers;
}

/**
 * The key of a control record has a version and a type. Type 0 is an abort, type 1 a commit; other types concern only
 * brokers.
 */
function markerOf(offset: string, key: Buffer | null, transaction: bigint): LogEntry {
  const type = key !== null && key.length >= 4 ? key.readInt16BE(2) : -1;
  if (type !== 0 && type !== 1) return gap(Number(offset));
  return { kind: 'marker', offset, isControlRecord: false, transaction, committed: type === 1 };
}
