/**
 * Joins bytes in memory of their own. Node's small buffers share blocks of memory: a stream that keeps one of them would
 * keep its whole block.
 */
export function joinInOwnMemory(first: Buffer, second: Buffer): Buffer {
  const joined = Buffer.allocUnsafeSlow(first.length + second.length);
  first.copy(joined);
  second.copy(joined, first.length);
  return joined;
}
