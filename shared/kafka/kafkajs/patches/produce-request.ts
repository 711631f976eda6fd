import { crc32c } from '../crc32c.ts';

export interface OutgoingRecord {
  readonly key?: Buffer | string | null;
  readonly value: Buffer | string | null;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly timestamp?: string;
}

interface Batch {
  readonly partition: number;
  readonly firstSequence?: number;
  readonly messages: readonly OutgoingRecord[];
}

/** The argument of the encoder of kafkajs. */
export interface ProduceRequest {
  readonly acks: number;
  readonly timeout: number;
  readonly transactionalId?: string | null;
  /** An integer of 64 bits in decimal form. */
  readonly producerId?: { toString(): string };
  readonly producerEpoch?: number;
  readonly compression?: number;
  readonly topicData: readonly { readonly topic: string; readonly partitions: readonly Batch[] }[];
}

const requestHeadBytes = 2 + 2 + 4 + 4;
const topicHeadBytes = 2 + 4;
const partitionHeadBytes = 4 + 4;
/** baseOffset, batchLength */
const batchOuterBytes = 8 + 4;
/** partitionLeaderEpoch, magic, crc */
const batchPlainBytes = 4 + 1 + 4;
/** Length of the fields from attributes to the number of records. The checksum covers these fields and the records. */
const batchHeadBytes = 2 + 4 + 8 + 8 + 8 + 2 + 4 + 4;
const formatVersion = 2;
/** Length of the fields attributes, timestampDelta and number of headers. All three are zero. */
const recordZeroBytes = 3;
/** Largest length of a record's zero fields and its varints length, offsetDelta, keyLength and valueLength. */
const recordFixedBytesMax = recordZeroBytes + 4 * 5;
const utf8BytesMax = 3;

/** Encodes the body of a produce request whose records have neither headers nor own timestamps. */
export function encodeProduce(request: ProduceRequest, nowMs: number): Buffer {
  const { acks, timeout, topicData } = request;
  const room = topicData.reduce((sum, topic) => sum + topicBytesMax(topic), requestHeadBytes);
  const out = Buffer.allocUnsafe(room);
  let at = out.writeInt16BE(-1);
  at = out.writeInt16BE(acks, at);
  at = out.writeInt32BE(timeout, at);
  at = out.writeInt32BE(topicData.length, at);
  for (const { topic, partitions } of topicData) {
    at = out.writeInt16BE(Buffer.byteLength(topic), at);
    at += out.write(topic, at);
    at = out.writeInt32BE(partitions.length, at);
    for (const batch of partitions) at = writeBatch(out, at, batch, request, BigInt(nowMs));
  }
  return out.subarray(0, at);
}

function topicBytesMax({ topic, partitions }: ProduceRequest['topicData'][number]): number {
  const fixed = partitionHeadBytes + batchOuterBytes + batchPlainBytes + batchHeadBytes;
  let sum = topicHeadBytes + bytesMax(topic);
  for (const { messages } of partitions) {
    sum += fixed + messages.length * recordFixedBytesMax;
    for (const { key = null, value } of messages) sum += bytesMax(key) + bytesMax(value);
  }
  return sum;
}

/** Returns an upper bound of the encoded length without encoding the text, so that the text is encoded only once. */
function bytesMax(bytes: Buffer | string | null): number {
  if (bytes === null) return 0;
  return typeof bytes === 'string' ? bytes.length * utf8BytesMax : bytes.length;
}

function writeBatch(
  out: Buffer,
  from: number,
  { partition, firstSequence = 0, messages }: Batch,
  { producerId = -1, producerEpoch = 0 }: ProduceRequest,
  nowMs: bigint,
): number {
  const start = from + partitionHeadBytes;
  const checkedAt = start + batchOuterBytes + batchPlainBytes;
  let at = out.writeInt16BE(0, checkedAt);
  at = out.writeInt32BE(messages.length - 1, at);
  at = out.writeBigInt64BE(nowMs, at);
  at = out.writeBigInt64BE(nowMs, at);
  at = out.writeBigInt64BE(BigInt(producerId.toString()), at);
  at = out.writeInt16BE(producerEpoch, at);
  at = out.writeInt32BE(firstSequence, at);
  at = out.writeInt32BE(messages.length, at);
  for (let index = 0; index < messages.length; index += 1) {
    const record = messages[index];
    if (record !== undefined) at = writeRecord(out, at, record, index);
  }
  out.writeInt32BE(partition, from);
  out.writeInt32BE(at - start, from + 4);
  out.writeBigInt64BE(0n, start);
  out.writeInt32BE(at - start - batchOuterBytes, start + 8);
  out.writeInt32BE(0, start + batchOuterBytes);
  out.writeInt8(formatVersion, start + batchOuterBytes + 4);
  out.writeUInt32BE(crc32c(out, checkedAt, at), checkedAt - 4);
  return at;
}

function writeRecord(
  out: Buffer,
  from: number,
  { key = null, value }: OutgoingRecord,
  offsetDelta: number,
): number {
  const keyBytes = lengthOf(key);
  const valueBytes = lengthOf(value);
  const body = recordZeroBytes + varintBytes(offsetDelta) + fieldBytes(keyBytes) + fieldBytes(valueBytes);
  let at = writeVarint(out, from, body);
  out[at] = 0;
  out[at + 1] = 0;
  at = writeVarint(out, at + 2, offsetDelta);
  at = writeField(out, at, key, keyBytes);
  at = writeField(out, at, value, valueBytes);
  out[at] = 0;
  return at + 1;
}

function lengthOf(bytes: Buffer | string | null): number {
  return bytes === null ? -1 : Buffer.byteLength(bytes);
}

function fieldBytes(length: number): number {
  return varintBytes(length) + Math.max(0, length);
}

function writeField(out: Buffer, from: number, bytes: Buffer | string | null, length: number): number {
  const at = writeVarint(out, from, length);
  if (bytes === null) return at;
  if (typeof bytes === 'string') out.write(bytes, at, length);
  else out.set(bytes, at);
  return at + length;
}

const digit = 0x80;

/** ZigZag encoding of the protocol: it maps 0, -1, 1, -2, … to 0, 1, 2, 3, … */
function zigzag(value: number): number {
  return ((value << 1) ^ (value >> 31)) >>> 0;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let left = zigzag(value); left >= digit; left >>>= 7) bytes += 1;
  return bytes;
}

function writeVarint(out: Buffer, from: number, value: number): number {
  let at = from;
  let left = zigzag(value);
  for (; left >= digit; left >>>= 7) {
    out[at] = (left & 0x7f) | digit;
    at += 1;
  }
  out[at] = left;
  return at + 1;
}
