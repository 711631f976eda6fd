import { crc32 } from 'node:zlib';

/**
 * A record of the spool, all numbers little-endian:
 *
 * | bytes | what |
 * | --- | --- |
 * | 4 | marker, where a reader that lost its place looks for the next record |
 * | 4 | length of the body |
 * | 4 | CRC-32 (the IEEE polynomial of zlib) of all that follows |
 * | 6 | sequence |
 * | 6 | time of the append, Unix milliseconds |
 * | 2 | length of the key |
 * | … | key, UTF-8 |
 * | … | value, as it goes to Kafka |
 */
export interface SpoolRecord {
  readonly sequence: number;
  readonly appendedAtMs: number;
  readonly key: string;
  readonly value: Buffer;
}

const marker = Buffer.from('TGR1');
const lengthAt = 4;
const crcAt = 8;
const sequenceAt = 12;
const timeAt = 18;
export const headerBytes = 24;
const keyLengthBytes = 2;
/** A length above this is damage, not a record. */
export const bodyBytesMax = 64 * 1024 * 1024;

/** Bytes that a record with this key and value can take at most, before either is encoded. */
export function recordBytesMax(key: string, value: string): number {
  return headerBytes + keyLengthBytes + (key.length + value.length) * 3;
}

/** Writes a record at `at`, where `recordBytesMax` bytes are free, and answers where it ends. */
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
  marker.copy(buffer, at);
  buffer.writeUInt32LE(end - bodyAt, at + lengthAt);
  buffer.writeUIntLE(sequence, at + sequenceAt, 6);
  buffer.writeUIntLE(nowMs, at + timeAt, 6);
  buffer.writeUInt32LE(crc32(buffer.subarray(at + sequenceAt, end)), at + crcAt);
  return end;
}

/** Sequence of the record that begins at `at`. */
export function sequenceOf(buffer: Buffer, at: number): number {
  return buffer.readUIntLE(at + sequenceAt, 6);
}

/** When the record that begins at `at` was appended, as Unix milliseconds. */
export function timeOf(buffer: Buffer, at: number): number {
  return buffer.readUIntLE(at + timeAt, 6);
}

/** Bytes of the whole record that begins at `at`. */
export function recordBytesAt(buffer: Buffer, at: number): number {
  return headerBytes + buffer.readUInt32LE(at + lengthAt);
}

/**
 * - `record`: a whole record, and where it ends.
 * - `more`: what is there could be the beginning of a record of `bytes` bytes.
 * - `damaged`: no record begins here.
 */
export type ReadOutcome =
  | { readonly kind: 'record'; readonly record: SpoolRecord; readonly end: number }
  | { readonly kind: 'more'; readonly bytes: number }
  | { readonly kind: 'damaged' };

const damaged: ReadOutcome = { kind: 'damaged' };

/** Reads the record at `at`. Its value points into `buffer`. */
export function readRecord(buffer: Buffer, at: number): ReadOutcome {
  const here = buffer.subarray(at, at + marker.length);
  if (!marker.subarray(0, here.length).equals(here)) return damaged;
  if (buffer.length - at < headerBytes) return { kind: 'more', bytes: headerBytes };
  const bodyBytes = buffer.readUInt32LE(at + lengthAt);
  if (bodyBytes < keyLengthBytes || bodyBytes > bodyBytesMax) return damaged;
  const end = at + headerBytes + bodyBytes;
  if (end > buffer.length) return { kind: 'more', bytes: headerBytes + bodyBytes };
  if (crc32(buffer.subarray(at + sequenceAt, end)) !== buffer.readUInt32LE(at + crcAt)) return damaged;
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

/** Where, after `at`, the next whole record begins; -1 when none does. */
export function nextRecordAfter(buffer: Buffer, at: number): number {
  for (let next = buffer.indexOf(marker, at + 1); next !== -1; next = buffer.indexOf(marker, next + 1)) {
    if (readRecord(buffer, next).kind === 'record') return next;
  }
  return -1;
}
