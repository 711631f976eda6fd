import { bytesOfValue, elementType, nativeType, unsupported } from './types.ts';
import type { NativeType } from './types.ts';

/** First protocol revision in which each column has a flag for a custom serialization. */
const customSerializationRevision = 54_454;
/** The block info: field 1 (is_overflows) = 0, field 2 (bucket_num) = -1, then 0 as the end of the fields. */
const blockInfo = Buffer.from([1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0]);
const noCustomSerialization = Buffer.from([0]);

/**
 * Converts blocks of the Native format to the protocol revision of the client (`client_protocol_version`). The engine
 * writes blocks for revision 0 only, but clickhouse-go (and with it Grafana's data source) expects the info in front of
 * each block and the flag in front of the data of each column.
 *
 * @param blocks one or more complete blocks.
 */
export function blocksOfRevision(blocks: Buffer, revision: number): Buffer {
  if (revision <= 0) return blocks;
  const reader = new BlockReader(blocks);
  const parts: Buffer[] = [];
  while (!reader.isAtEnd()) {
    parts.push(blockInfo);
    let start = reader.offset;
    const columns = reader.readVarint();
    const rows = reader.readVarint();
    for (let column = 0; column < columns; column += 1) {
      reader.skipString();
      const type = nativeType(reader.readString());
      if (revision >= customSerializationRevision) {
        parts.push(blocks.subarray(start, reader.offset), noCustomSerialization);
        start = reader.offset;
      }
      if (rows === 0) continue;
      reader.skipPrefix(type);
      reader.skipValues(type, rows);
    }
    parts.push(blocks.subarray(start, reader.offset));
  }
  return Buffer.concat(parts);
}

/** Finds the end of each column. It has to read the values, because the format does not contain lengths. */
class BlockReader {
  offset = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  isAtEnd(): boolean {
    return this.offset >= this.#bytes.length;
  }

  readVarint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes.readUInt8(this.offset++);
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  readString(): string {
    const start = this.offset;
    this.skipString();
    const end = this.offset;
    this.offset = start;
    const length = this.readVarint();
    this.offset = end;
    return this.#bytes.toString('utf8', end - length, end);
  }

  skipString(): void {
    const length = this.readVarint();
    this.offset += length;
  }

  /** Skips the prefix of a column: the versions of the serializations of its parts, which precede all values. */
  skipPrefix(type: NativeType): void {
    if (type.name === 'LowCardinality') this.offset += 8;
    else if (type.name === 'JSON') this.#skipVersionOfJson(type);
    else if (type.name === 'Variant') this.offset += 8;
    if (['Array', 'Nullable', 'Tuple', 'Variant'].includes(type.name)) {
      for (const arg of type.args) this.skipPrefix(elementType(arg));
    }
  }

  skipValues(type: NativeType, count: number): void {
    const bytes = bytesOfValue(type);
    if (bytes !== null) {
      this.offset += bytes * count;
      return;
    }
    switch (type.name) {
      case 'String':
      case 'JSON':
        for (let index = 0; index < count; index += 1) this.skipString();
        return;
      case 'Nullable':
        this.offset += count;
        this.skipValues(elementType(type.args[0] ?? ''), count);
        return;
      case 'Array':
        this.skipValues(elementType(type.args[0] ?? ''), this.#readLastArrayEnd(count));
        return;
      case 'Tuple':
        for (const arg of type.args) this.skipValues(elementType(arg), count);
        return;
      case 'LowCardinality':
        this.#skipLowCardinality(elementType(type.args[0] ?? ''), count);
        return;
      case 'Variant':
        this.#skipVariant(type, count);
        return;
      default:
        throw unsupported(type);
    }
  }

  /** Accepts only version 1, in which documents are texts. Other versions store a document in several columns. */
  #skipVersionOfJson(type: NativeType): void {
    if (this.#readCount() !== 1) throw unsupported(type);
  }

  /** Reads the end positions of all arrays and returns the last one, which is the total number of elements. */
  #readLastArrayEnd(count: number): number {
    if (count === 0) return 0;
    this.offset += 8 * (count - 1);
    return this.#readCount();
  }

  /** Skips a dictionary and the index into it for each value. A column without values contains neither. */
  #skipLowCardinality(type: NativeType, count: number): void {
    if (count === 0) return;
    const indexBytes = 2 ** (this.#readCount() & 0xff);
    const keys = type.name === 'Nullable' ? elementType(type.args[0] ?? '') : type;
    this.skipValues(keys, this.#readCount());
    this.offset += 8 + indexBytes * count;
  }

  /** Skips the type number of each value, and then the values, which are grouped by type. */
  #skipVariant(type: NativeType, count: number): void {
    const counts = type.args.map(() => 0);
    for (const number of this.#bytes.subarray(this.offset, this.offset + count)) {
      if (number < counts.length) counts[number] = (counts[number] ?? 0) + 1;
    }
    this.offset += count;
    type.args.forEach((arg, number) => this.skipValues(elementType(arg), counts[number] ?? 0));
  }

  #readCount(): number {
    const count = Number(this.#bytes.readBigUInt64LE(this.offset));
    this.offset += 8;
    return count;
  }
}
