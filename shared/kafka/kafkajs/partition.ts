const seed = 0x9747b28c;
const multiplier = 0x5bd1e995;

/** Returns the partition of a key. It is the partition that the default partitioner of Kafka's Java client selects. */
export function partitionOf(key: Buffer | string, partitions: number): number {
  const bytes = typeof key === 'string' ? Buffer.from(key) : key;
  return (murmur2(bytes) & 0x7fffffff) % partitions;
}

/**
 * MurmurHash2 with 32 bits, as a signed integer, with the seed and the final mix of the Java client (`Utils.murmur2`).
 */
export function murmur2(data: Buffer): number {
  let hash = seed ^ data.length;
  const wholeWords = data.length & ~3;
  for (let at = 0; at < wholeWords; at += 4) {
    let word = Math.imul(data.readInt32LE(at), multiplier);
    word = Math.imul(word ^ (word >>> 24), multiplier);
    hash = Math.imul(hash, multiplier) ^ word;
  }
  if (wholeWords < data.length) {
    for (let at = data.length - 1; at >= wholeWords; at -= 1)
      hash ^= data.readUInt8(at) << ((at - wholeWords) * 8);
    hash = Math.imul(hash, multiplier);
  }
  hash = Math.imul(hash ^ (hash >>> 13), multiplier);
  return hash ^ (hash >>> 15);
}
