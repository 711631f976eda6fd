import { randomFillSync } from 'node:crypto';
import type { Clock } from '../../shared/runtime/clock.ts';

/** 48 bits of time, 12 of a counter, 62 of chance. */
const counterMax = 0xfff;
const randomBytesPerId = 8;
const poolIds = 512;

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/**
 * Makes UUIDv7s (RFC 9562, method 1) that sort in the order they were made on this node: the counter runs within a
 * millisecond, and where it is used up the next millisecond is borrowed. Randomness is drawn in blocks, which makes
 * an id cost a fraction of a microsecond.
 */
export function createDecisionIds(clock: Clock): () => string {
  const pool = Buffer.alloc(poolIds * randomBytesPerId);
  let position = pool.length;
  let lastMs = 0;
  let counter = 0;
  return () => {
    if (position === pool.length) {
      randomFillSync(pool);
      position = 0;
    }
    const nowMs = clock.now();
    if (nowMs > lastMs) {
      lastMs = nowMs;
      counter = byteAt(pool, position) & 0x7f;
    } else if (++counter > counterMax) {
      lastMs += 1;
      counter = 0;
    }
    const high = Math.floor(lastMs / 0x1_0000);
    const low = lastMs & 0xffff;
    const random = position;
    position += randomBytesPerId;
    return (
      `${two(high >>> 24)}${two(high >>> 16)}${two(high >>> 8)}${two(high)}-${two(low >>> 8)}${two(low)}` +
      `-${two(0x70 | (counter >>> 8))}${two(counter)}` +
      `-${two(0x80 | (byteAt(pool, random) >>> 2))}${two(byteAt(pool, random + 1))}` +
      `-${two(byteAt(pool, random + 2))}${two(byteAt(pool, random + 3))}${two(byteAt(pool, random + 4))}` +
      `${two(byteAt(pool, random + 5))}${two(byteAt(pool, random + 6))}${two(byteAt(pool, random + 7))}`
    );
  };
}

function two(value: number): string {
  return hex[value & 0xff] ?? '00';
}

function byteAt(bytes: Buffer, index: number): number {
  return bytes[index] ?? 0;
}
