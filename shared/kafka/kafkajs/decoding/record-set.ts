import { unreadable } from './log-entry.ts';
import type { LogEntry } from './log-entry.ts';
import { decodeMessage } from './message-set.ts';
import { decodeBatch } from './record-batch.ts';
import type { BatchBytes, DecodedBatch } from './record-batch.ts';

/** Length of the fields baseOffset and batchLength. */
const outerBytes = 8 + 4;
/** Position of the format version, which is the same in all formats. */
const magicAt = 16;
const batchBytesMin = 61;
const messageBytesMin = outerBytes + 4 + 1 + 1 + 4 + 4;

/** Largest number of decompressed bytes of one partition in a fetch. Batches beyond this bound are fetched again. */
export const partitionPlainBytesMax = 16 * 1024 * 1024;

/**
 * Decodes the batches of one partition in a fetch. A batch that cannot be decoded has no effect on the others. The last
 * batch may be incomplete: a broker cuts the response at the requested size.
 */
export async function decodeRecordSet(bytes: Buffer): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  let plainBytes = 0;
  for (let at = 0; at < bytes.length && plainBytes < partitionPlainBytesMax;) {
    const batch = batchAt(bytes, at);
    if (batch === null) {
      // A broker always sends the first batch completely. If it seems incomplete, its length is wrong, and the start of
      // the next batch is unknown.
      if (entries.length === 0 && bytes.length - at >= outerBytes)
        entries.push(batchOfWrongLength(bytes, at));
      break;
    }
    const decoded = await decodeAny(batch);
    for (const entry of decoded.entries) entries.push(entry);
    plainBytes += decoded.plainBytes;
    at += batch.bytes.length;
  }
  return entries;
}

/** Returns the next batch; null if it is incomplete. */
function batchAt(bytes: Buffer, at: number): BatchBytes | null {
  const end = endOfBatch(bytes, at);
  if (end === null) return null;
  return {
    bytes: bytes.subarray(at, end),
    baseOffset: offsetAt(bytes, at),
    nextOffset: bytes.length - end >= outerBytes ? offsetAt(bytes, end) : null,
  };
}

function endOfBatch(bytes: Buffer, at: number): number | null {
  if (bytes.length - at <= magicAt) return null;
  const end = at + outerBytes + bytes.readInt32BE(at + 8);
  return end > at + magicAt && end <= bytes.length ? end : null;
}

function offsetAt(bytes: Buffer, at: number): number {
  return Number(bytes.readBigInt64BE(at));
}

async function decodeAny(batch: BatchBytes): Promise<DecodedBatch> {
  const { bytes, baseOffset, nextOffset } = batch;
  const magic = bytes.readInt8(magicAt);
  if (magic === 2 && bytes.length >= batchBytesMin) return decodeBatch(batch);
  if ((magic === 0 || magic === 1) && bytes.length >= messageBytesMin) return decodeMessage(batch);
  const reason = magic >= 0 && magic <= 2 ? 'it is too short' : `message format ${magic} is not known`;
  const lastOffset = nextOffset === null ? baseOffset : Math.max(baseOffset, nextOffset - 1);
  return {
    entries: [unreadable({ firstOffset: baseOffset, lastOffset, reason, bytes })],
    plainBytes: bytes.length,
  };
}

function batchOfWrongLength(bytes: Buffer, at: number): LogEntry {
  const offset = offsetAt(bytes, at);
  return unreadable({
    firstOffset: offset,
    lastOffset: offset,
    reason: 'its length is wrong',
    bytes: bytes.subarray(at),
  });
}
