import { randomFillSync } from 'node:crypto';
import type { Clock } from '../../../shared/runtime/time/clock.ts';

/** A UUIDv7 has 48 bits of time, here followed by a counter of 12 bits and 62 random bits. */
const counterMax = 0xfff;
const wordsPerId = 2;
const poolIds = 512;

/** Text of each number of 12 bits, as three hexadecimal digits. An id is joined from a few of these texts. */
const hex = Array.from({ length: 4096 }, (_, value) => value.toString(16).padStart(3, '0'));

/**
 * Returns a function that generates UUIDv7s (RFC 9562, method 1). The ids of a node sort in the order in which they
 * were generated: ids of the same millisecond differ in the counter, and when the counter is at its maximum, the next
 * id has a time one millisecond later. Random numbers are generated for 512 ids at a time, so that an id costs a
 * fraction of a microsecond.
 */
export function createDecisionIds(clock: Clock): () => string {
  const pool = new Uint32Array(poolIds * wordsPerId);
  let position = pool.length;
  let lastMs = 0;
  let time = timePart(lastMs);
  let counter = 0;
  return () => {
    if (position === pool.length) {
      randomFillSync(pool);
      position = 0;
    }
    const high = pool[position] ?? 0;
    const low = pool[position + 1] ?? 0;
    position += wordsPerId;
    const nowMs = clock.now();
    if (nowMs > lastMs) {
      lastMs = nowMs;
      time = timePart(lastMs);
      counter = high & 0x7f;
    } else if (++counter > counterMax) {
      lastMs += 1;
      time = timePart(lastMs);
      counter = 0;
    }
    return (
      `${time}-7${three(counter)}-${variants[high & 3] ?? '8'}${three(high >>> 2)}-${three(high >>> 14)}` +
      `${three(((high >>> 26) << 6) | (low & 0x3f))}${three(low >>> 6)}${three(low >>> 18)}`
    );
  };
}

const variants = ['8', '9', 'a', 'b'] as const;

/** Returns the beginning of an id, `xxxxxxxx-xxxx`, which all ids of one millisecond share. */
function timePart(ms: number): string {
  const digits = ms.toString(16).padStart(12, '0');
  return `${digits.slice(0, 8)}-${digits.slice(8)}`;
}

/** Returns the lowest 12 bits of a number as three hexadecimal digits. */
function three(value: number): string {
  return hex[value & 0xfff] ?? '000';
}
