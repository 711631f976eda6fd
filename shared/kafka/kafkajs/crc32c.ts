/** The Castagnoli polynomial with reversed bits. */
const polynomial = 0x82f63b78;
const stride = 8;
const bytes256 = 256;

/** `tables[k * 256 + byte]`: the effect of a byte on the checksum k bytes later. */
const tables = new Int32Array(stride * bytes256);
for (let byte = 0; byte < bytes256; byte += 1) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ polynomial;
  tables[byte] = crc;
}
for (let at = bytes256; at < tables.length; at += 1) {
  const before = entry(0, at - bytes256);
  tables[at] = entry(0, before & 0xff) ^ (before >>> 8);
}

/**
 * CRC-32C of the bytes from `start` to `end`, unsigned. Eight bytes a step: Kounavis and Berry, “A Systematic Approach to
 * Building High Performance, Software-based, CRC Generators” (2005).
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let crc = -1;
  let at = start;
  for (; at + stride <= end; at += stride) {
    crc =
      entry(7, (crc ^ byteAt(bytes, at)) & 0xff) ^
      entry(6, ((crc >>> 8) ^ byteAt(bytes, at + 1)) & 0xff) ^
      entry(5, ((crc >>> 16) ^ byteAt(bytes, at + 2)) & 0xff) ^
      entry(4, (crc >>> 24) ^ byteAt(bytes, at + 3)) ^
      entry(3, byteAt(bytes, at + 4)) ^
      entry(2, byteAt(bytes, at + 5)) ^
      entry(1, byteAt(bytes, at + 6)) ^
      entry(0, byteAt(bytes, at + 7));
  }
  for (; at < end; at += 1) crc = entry(0, (crc ^ byteAt(bytes, at)) & 0xff) ^ (crc >>> 8);
  return ~crc >>> 0;
}

function entry(table: number, byte: number): number {
  return tables[table * bytes256 + byte] ?? 0;
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}
