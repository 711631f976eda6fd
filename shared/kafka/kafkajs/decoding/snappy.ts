import { uncompress } from 'snappyjs';
import { MalformedRecords } from './byte-reader.ts';

/** Header of the snappy-java format, which Kafka's Java client uses: a magic number and two versions. */
const framedMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const framedHeadBytes = framedMagic.length + 4 + 4;

/** Decompresses a raw Snappy stream (librdkafka) or the framing of snappy-java (Kafka's Java client). */
export function decompressSnappy(source: Buffer, bytesMax: number): Buffer {
  if (!source.subarray(0, framedMagic.length).equals(framedMagic)) return block(source, bytesMax);
  const blocks: Buffer[] = [];
  let left = bytesMax;
  for (let at = framedHeadBytes; at < source.length;) {
    const end = at + 4 > source.length ? Infinity : at + 4 + source.readUInt32BE(at);
    if (end > source.length) throw new MalformedRecords('a Snappy block is cut off');
    const plain = block(source.subarray(at + 4, end), left);
    left -= plain.length;
    blocks.push(plain);
    at = end;
  }
  return Buffer.concat(blocks);
}

function block(source: Buffer, bytesMax: number): Buffer {
  try {
    return uncompress(source, bytesMax);
  } catch (error) {
    throw new MalformedRecords('no Snappy block', { cause: error });
  }
}
