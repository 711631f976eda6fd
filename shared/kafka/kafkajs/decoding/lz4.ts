import { MalformedRecords } from './byte-reader.ts';

const frameMagic = 0x184d2204;
const headBytesMin = 7;
const uncompressedFlag = 0x80000000;
const minMatch = 4;
const lengthMask = 0xf;

/**
 * Decompresses an LZ4 frame (github.com/lz4/lz4, doc/lz4_Frame_format.md) with linked or independent blocks. Checksums
 * are not verified: Kafka's CRC-32C covers the frame. Stops as soon as the output has more than `bytesMax` bytes.
 */
export function decompressLz4(source: Buffer, bytesMax: number): Buffer {
  if (source.length < headBytesMin || source.readUInt32LE(0) !== frameMagic) {
    throw new MalformedRecords('no LZ4 frame');
  }
  const flags = source.readUInt8(4);
  if (flags >> 6 !== 1) throw new MalformedRecords(`version ${flags >> 6} of LZ4 frames is not known`);
  if ((flags & 0x1) !== 0) throw new MalformedRecords('the LZ4 frame needs a dictionary');
  const blockChecksumBytes = (flags & 0x10) === 0 ? 0 : 4;
  const output = createOutput(bytesMax, source.length * 4);
  let at = (flags & 0x8) === 0 ? headBytesMin : headBytesMin + 8;
  for (;;) {
    if (at + 4 > source.length) throw new MalformedRecords('the LZ4 frame is cut off');
    const head = source.readUInt32LE(at);
    at += 4;
    if (head === 0) return output.bytes();
    const length = head & ~uncompressedFlag;
    if (at + length > source.length) throw new MalformedRecords('the LZ4 frame is cut off');
    if (head >= uncompressedFlag) output.literals(source, at, length);
    else decompressBlock(source, at, at + length, output);
    at += length + blockChecksumBytes;
  }
}

function decompressBlock(source: Buffer, from: number, end: number, output: Output): void {
  let at = from;
  const lengthFrom = (nibble: number): number => {
    let length = nibble;
    if (nibble < lengthMask) return length;
    for (;;) {
      if (at >= end) throw new MalformedRecords('an LZ4 block is cut off');
      const more = source[at] ?? 0;
      at += 1;
      length += more;
      if (more < 255) return length;
    }
  };
  while (at < end) {
    const token = source[at] ?? 0;
    at += 1;
    const literals = lengthFrom(token >> 4);
    if (literals > end - at) throw new MalformedRecords('an LZ4 block is cut off');
    output.literals(source, at, literals);
    at += literals;
    // The last sequence of a block has literals only.
    if (at === end) return;
    if (at + 2 > end) throw new MalformedRecords('an LZ4 block is cut off');
    const distance = source.readUInt16LE(at);
    at += 2;
    output.match(distance, lengthFrom(token & lengthMask) + minMatch);
  }
}

interface Output {
  literals(source: Buffer, at: number, length: number): void;
  /** Copies `length` bytes from `distance` bytes before the end of the output; source and destination may overlap. */
  match(distance: number, length: number): void;
  bytes(): Buffer;
}

function createOutput(bytesMax: number, firstBytes: number): Output {
  let bytes = Buffer.allocUnsafe(Math.min(bytesMax, Math.max(firstBytes, 1024)));
  let size = 0;
  const reserve = (length: number): void => {
    if (size + length > bytesMax)
      throw new MalformedRecords(`it decompresses to more than ${bytesMax} bytes`);
    if (size + length <= bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.min(bytesMax, Math.max(bytes.length * 2, size + length)));
    bytes.copy(larger, 0, 0, size);
    bytes = larger;
  };
  return {
    literals(source, at, length) {
      reserve(length);
      source.copy(bytes, size, at, at + length);
      size += length;
    },
    match(distance, length) {
      if (distance === 0 || distance > size)
        throw new MalformedRecords('an LZ4 match begins before the output');
      reserve(length);
      // Each pass copies all bytes that the passes before it have written, so that their length doubles.
      for (let done = 0; done < length;) {
        const step = Math.min(length - done, distance + done);
        bytes.copyWithin(size + done, size - distance, size - distance + step);
        done += step;
      }
      size += length;
    },
    bytes: () => bytes.subarray(0, size),
  };
}
