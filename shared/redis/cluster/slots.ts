/** CRC-16/XMODEM (polynomial 0x1021), as the Redis Cluster specification assigns keys to slots. */
const table = new Uint16Array(256).map((_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000) !== 0 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

export const slotCount = 16384;

/** The slot of all keys with a hash tag, given as it stands in the key: `{tag}`. */
export function slotOf(tag: string): number {
  const bytes = Buffer.from(tag.slice(1, -1));
  let crc = 0;
  for (const byte of bytes) crc = ((crc << 8) & 0xffff) ^ (table[((crc >> 8) ^ byte) & 0xff] ?? 0);
  return crc % slotCount;
}
