/** The Castagnoli polynomial with reversed bits. */
const polynomial = 0x82f63b78;
const stride = 16;
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
 * CRC-32C of the bytes from `start` to `end`, unsigned. Sixteen bytes a step: Kounavis and Berry, “A Systematic Approach to
 * Building High Performance, Software-based, CRC Generators” (2005).
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let crc = -1;
  let at = start;
  for (; at + stride <= end; at += stride) {
    crc =
      effect(12, crc ^ view.getInt32(at, true)) ^
      effect(8, view.getInt32(at + 4, true)) ^
      effect(4, view.getInt32(at + 8, true)) ^
      effect(0, view.getInt32(at + 12, true));
  }
  for (; at < end; at += 1) crc = entry(0, (crc ^ (bytes[at] ?? 0)) & 0xff) ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** The effect of four bytes on the checksum, the last of which is followed by `later` bytes of the step. */
function effect(later: number, word: number): number {
  return (
    entry(later + 3, word & 0xff) ^
    entry(later + 2, (word >>> 8) & 0xff) ^
    entry(later + 1, (word >>> 16) & 0xff) ^
    entry(later, word >>> 24)
  );
}

function entry(table: number, byte: number): number {
  return tables[table * bytes256 + byte] ?? 0;
}
