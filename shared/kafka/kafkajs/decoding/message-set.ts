import { crc32 } from 'node:zlib';
import { ByteReader, MalformedRecords } from './byte-reader.ts';
import { decompress, isCompressed } from './codecs.ts';
import { possibleTime, unreadable } from './log-entry.ts';
import type { LogEntry } from './log-entry.ts';
import { plainBytesMax } from './record-batch.ts';
import type { BatchBytes, DecodedBatch } from './record-batch.ts';

const headBytes = 8 + 4;
const logAppendTime = 0x8;

/**
 * Decodes one message of format 0 or 1, which brokers before 0.11 wrote. The message is a record, or a compressed set
 * of records with the offset of its last record. Never rejects: a message that cannot be decoded becomes one
 * `unreadable` entry.
 */
export async function decodeMessage({ bytes, baseOffset: offset }: BatchBytes): Promise<DecodedBatch> {
  try {
    const message = readMessage(bytes);
    if (!isCompressed(message.attributes)) {
      return { entries: [recordOf(message, offset, null)], plainBytes: bytes.length };
    }
    const plain = await decompress(message.attributes, message.value ?? Buffer.alloc(0), plainBytesMax);
    return { entries: readSet(plain, message, offset), plainBytes: plain.length };
  } catch (error) {
    if (!(error instanceof MalformedRecords)) throw error;
    const entry = unreadable({ firstOffset: offset, lastOffset: offset, reason: error.message, bytes });
    return { entries: [entry], plainBytes: bytes.length };
  }
}

interface Message {
  readonly magic: number;
  readonly attributes: number;
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

function readMessage(bytes: Buffer): Message {
  const reader = new ByteReader(bytes, headBytes);
  const crc = reader.uint32();
  if (crc32(bytes.subarray(reader.at)) !== crc) throw new MalformedRecords('its checksum is wrong');
  const magic = reader.int8();
  const attributes = reader.int8();
  const timestamp = magic === 0 ? -1 : Number(reader.int64());
  return { magic, attributes, timestamp, key: reader.int32Bytes(), value: reader.int32Bytes() };
}

/** In format 1 the messages of a set have the offsets 0, 1, 2, …; in format 0 they have their offsets in the log. */
function readSet(plain: Buffer, wrapper: Message, lastOffset: number): LogEntry[] {
  const reader = new ByteReader(plain);
  const messages: { readonly offset: number; readonly message: Message }[] = [];
  while (reader.left > 0) {
    const from = reader.at;
    const offset = Number(reader.int64());
    reader.take(reader.int32());
    messages.push({ offset, message: readMessage(plain.subarray(from, reader.at)) });
  }
  const first = wrapper.magic === 0 ? 0 : lastOffset - (messages.at(-1)?.offset ?? 0);
  const timestamp = (wrapper.attributes & logAppendTime) === 0 ? null : wrapper.timestamp;
  return messages.map(({ offset, message }) => recordOf(message, first + offset, timestamp));
}

function recordOf(message: Message, offset: number, timestamp: number | null): LogEntry {
  return {
    kind: 'record',
    offset: String(offset),
    isControlRecord: false,
    key: message.key,
    value: message.value,
    headers: [],
    timestampMs: possibleTime(timestamp ?? message.timestamp),
    transaction: null,
  };
}
