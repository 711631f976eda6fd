/** Bytes that are not valid in Kafka's record format. */
export class MalformedRecords extends Error {}

/** Largest number of bits of an integer that a JavaScript number can hold exactly. */
const exactBits = 53;

/**
 * Reads the primitive types of Kafka's protocol, which are big-endian, from the position `at` on. Throws
 * MalformedRecords if too few bytes remain.
 */
export class ByteReader {
  readonly bytes: Buffer;
  readonly end: number;
  at: number;

  constructor(bytes: Buffer, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  int8(): number {
    return this.bytes.readInt8(this.advance(1));
  }

  int16(): number {
    return this.bytes.readInt16BE(this.advance(2));
  }

  int32(): number {
    return this.bytes.readInt32BE(this.advance(4));
  }

  uint32(): number {
    return this.bytes.readUInt32BE(this.advance(4));
  }

  int64(): bigint {
    return this.bytes.readBigInt64BE(this.advance(8));
  }

  string(): string {
    return this.take(this.int16()).toString();
  }

  /**
   * Reads a ZigZag varint of up to 64 bits. Returns NaN for more than 53 bits, which only impossible timestamps need.
   */
  varint(): number {
    let scale = 1;
    let value = 0;
    for (let bits = 0; bits < 70; bits += 7) {
      const byte = this.bytes[this.advance(1)] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value >= 2 ** exactBits) return Number.NaN;
        return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      }
      scale *= 128;
    }
    throw new MalformedRecords('a varint has more than 10 bytes');
  }

  /** Returns null if the length is -1. */
  varintBytes(): Buffer | null {
    const length = this.varint();
    return length === -1 ? null : this.take(length);
  }

  /** Returns null if the length is -1. */
  int32Bytes(): Buffer | null {
    const length = this.int32();
    return length === -1 ? null : this.take(length);
  }

  /** Returns the next bytes without a copy. */
  take(length: number): Buffer {
    const from = this.advance(length);
    return this.bytes.subarray(from, this.at);
  }

  private advance(length: number): number {
    const from = this.at;
    if (!(length >= 0 && length <= this.end - from)) {
      throw new MalformedRecords(
        `a field of length ${length} does not fit into the remaining ${this.end - from}`,
      );
    }
    this.at = from + length;
    return from;
  }
}
