import { crc32c } from '../../../../shared/kafka/kafkajs/crc32c.ts';

export interface BatchOptions {
  readonly baseOffset?: number;
  readonly attributes?: number;
  readonly magic?: number;
  readonly count?: number;
  readonly lastOffsetDelta?: number;
  readonly firstTimestamp?: bigint;
  readonly producerId?: bigint;
  /** Bytes of the records, compressed as the attributes say. */
  readonly records: Buffer;
}

/** A record batch of message format 2, built field by field from Kafka's documentation. */
export function batchOf(options: BatchOptions): Buffer {
  const { baseOffset = 0, attributes = 0, magic = 2, count = 1, lastOffsetDelta = count - 1 } = options;
  const { firstTimestamp = 1_700_000_000_000n, producerId = -1n, records } = options;
  const head = Buffer.alloc(61);
  head.writeBigInt64BE(BigInt(baseOffset), 0);
  head.writeInt32BE(head.length - 12 + records.length, 8);
  head.writeInt8(magic, 16);
  head.writeInt16BE(attributes, 21);
  head.writeInt32BE(lastOffsetDelta, 23);
  head.writeBigInt64BE(firstTimestamp, 27);
  head.writeBigInt64BE(firstTimestamp, 35);
  head.writeBigInt64BE(producerId, 43);
  head.writeInt16BE(0, 51);
  head.writeInt32BE(-1, 53);
  head.writeInt32BE(count, 57);
  const batch = Buffer.concat([head, records]);
  batch.writeUInt32BE(crc32c(batch, 21), 17);
  return batch;
}

export interface RecordOptions {
  readonly offsetDelta?: number;
  readonly timestampDelta?: bigint;
  readonly key?: Buffer | string | null;
  readonly value?: Buffer | string | null;
  readonly headers?: readonly (readonly [string, Buffer | null])[];
}

export function recordOf(options: RecordOptions): Buffer {
  const { offsetDelta = 0, timestampDelta = 0n, key = null, value = null, headers = [] } = options;
  const body = Buffer.concat([
    Buffer.from([0]),
    varint(timestampDelta),
    varint(BigInt(offsetDelta)),
    field(key),
    field(value),
    varint(BigInt(headers.length)),
    ...headers.flatMap(([name, content]) => [field(name), field(content)]),
  ]);
  return Buffer.concat([varint(BigInt(body.length)), body]);
}

/** Consecutive records with these values. */
export function recordsOf(values: readonly string[]): Buffer {
  return Buffer.concat(values.map((value, offsetDelta) => recordOf({ offsetDelta, key: 'k', value })));
}

function field(content: Buffer | string | null): Buffer {
  if (content === null) return varint(-1n);
  const bytes = Buffer.from(content);
  return Buffer.concat([varint(BigInt(bytes.length)), bytes]);
}

export function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let left = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  for (; left >= 0x80n; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  bytes.push(Number(left));
  return Buffer.from(bytes);
}
