import { crc32 } from 'node:zlib';

/**
 * A record of the spool. All numbers are little-endian.
 *
 * | bytes | field |
 * | --- | --- |
 * | 4 | marker, for which a reader searches after corrupt bytes |
 * | 4 | length of the body |
 * | 4 | CRC-32 (the IEEE polynomial of zlib) of all following bytes |
 * | 6 | sequence number |
 * | 6 | time of the append, Unix milliseconds |
 * | 2 | length of the key |
 * | … | key, UTF-8 |
 * | … | value, which is sent to Kafka |
 */
export interface SpoolRecord {
  readonly sequence: number;
  readonly appendedAtMs: number;
  readonly key: string;
  readonly value: Buffer;
}

const marker = Buffer.from('TGR1');
const markerNumber = marker.readUInt32LE();
const lengthAt = 4;
const crcAt = 8;
const sequenceAt = 12;
const timeAt = 18;
export const headerBytes = 24;
const keyLengthBytes = 2;
/** Longest body. Bytes that state a greater length are corrupt. */
export const bodyBytesMax = 64 * 1024 * 1024;

/** Returns an upper bound of a record's size without encoding its key and value. */
export function recordBytesMax(key: string, value: string): number {
  return headerBytes + keyLengthBytes + (key.length + value.length) * 3;
}

/** Writes a record at `at`, where `recordBytesMax` bytes must be free. Returns the offset of its end. */
export function writeRecord(
  buffer: Buffer,
  at: number,
  sequence: number,
  nowMs: number,
  key: string,
  value: string,
): number {
  const bodyAt = at + headerBytes;
  const keyBytes = buffer.write(key, bodyAt + keyLengthBytes);
  buffer.writeUInt16LE(keyBytes, bodyAt);
  const valueAt = bodyAt + keyLengthBytes + keyBytes;
  const end = valueAt + buffer.write(value, valueAt);
  buffer.writeUInt32LE(markerNumber, at);
  buffer.writeUInt32LE(end - bodyAt, at + lengthAt);
  buffer.writeUIntLE(sequence, at + sequenceAt, 6);
  buffer.writeUIntLE(nowMs, at + timeAt, 6);
  buffer.writeUInt32LE(crc32(buffer.subarray(at + sequenceAt, end)), at + crcAt);
  return end;
}

/** Sequence number of the record that begins at `at`. */
export function sequenceOf(buffer: Buffer, at: number): number {
  return buffer.readUIntLE(at + sequenceAt, 6);
}

/** Unix milliseconds at which the record that begins at `at` was appended. */
export function timeOf(buffer: Buffer, at: number): number {
  return buffer.readUIntLE(at + timeAt, 6);
}

/** Length in bytes of the record that begins at `at`. */
export function recordBytesAt(buffer: Buffer, at: number): number {
  return headerBytes + buffer.readUInt32LE(at + lengthAt);
}

/**
 * - `record`: a complete record, and the offset of its end.
 * - `more`: the bytes may be the beginning of a record of `bytes` bytes.
 * - `damaged`: no record begins at this offset.
 */
export type ReadOutcome =
  | { readonly kind: 'record'; readonly record: SpoolRecord; readonly end: number }
  | { readonly kind: 'more'; readonly bytes: number }
  | { readonly kind: 'damaged' };

const damaged: ReadOutcome = { kind: 'damaged' };

/**
 * Reads the record at `at`. Its value points into `buffer`. `isChecked`: the checksum was verified, or the bytes were never on a
 * disk.
 */
export function readRecord(buffer: Buffer, at: number, isChecked = false): ReadOutcome {
  if (buffer.length - at < headerBytes) return readShort(buffer, at);
  if (buffer.readUInt32LE(at) !== markerNumber) return damaged;
  const bodyBytes = buffer.readUInt32LE(at + lengthAt);
  if (bodyBytes < keyLengthBytes || bodyBytes > bodyBytesMax) return damaged;
  const end = at + headerBytes + bodyBytes;
  if (end > buffer.length) return { kind: 'more', bytes: headerBytes + bodyBytes };
  if (!isChecked && crc32(buffer.subarray(at + sequenceAt, end)) !== buffer.readUInt32LE(at + crcAt))
    return damaged;
  const keyAt = at + headerBytes + keyLengthBytes;
  const valueAt = keyAt + buffer.readUInt16LE(at + headerBytes);
  if (valueAt > end) return damaged;
  const record = {
    sequence: buffer.readUIntLE(at + sequenceAt, 6),
    appendedAtMs: buffer.readUIntLE(at + timeAt, 6),
    key: buffer.toString('utf8', keyAt, valueAt),
    value: buffer.subarray(valueAt, end),
  };
  return { kind: 'record', record, end };
}

/** Reads at most the beginning of a header. */
function readShort(buffer: Buffer, at: number): ReadOutcome {
  const here = buffer.subarray(at, at + marker.length);
  return marker.subarray(0, here.length).equals(here) ? { kind: 'more', bytes: headerBytes } : damaged;
}

/** Offset of the next complete record that begins after `at`; -1 if there is none. */
export function nextRecordAfter(buffer: Buffer, at: number): number {
  for (let next = buffer.indexOf(marker, at + 1); next !== -1; next = buffer.indexOf(marker, next + 1)) {
    if (readRecord(buffer, next).kind === 'record') return next;
  }
  return -1;
}
