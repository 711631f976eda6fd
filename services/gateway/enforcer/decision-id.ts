import { randomFillSync } from 'node:crypto';
import type { Clock } from '../../../shared/runtime/time/clock.ts';

/** An id has 48 bits of time, 12 of a counter, 62 of randomness. */
const counterMax = 0xfff;
const wordsPerId = 2;
const poolIds = 512;

/** Three hexadecimal digits each: an id is joined from few pieces. */
const hex = Array.from({ length: 4096 }, (_, value) => value.toString(16).padStart(3, '0'));

/**
 * Returns a generator of UUIDv7s (RFC 9562, method 1). The ids of a node sort in the order of their generation: the
 * counter counts within a millisecond, and beyond its last value the time of the id is one millisecond later. Random
 * numbers are generated in blocks, so that an id costs a fraction of a microsecond.
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

/** `xxxxxxxx-xxxx`: the same for all ids of a millisecond. */
function timePart(ms: number): string {
  const digits = ms.toString(16).padStart(12, '0');
  return `${digits.slice(0, 8)}-${digits.slice(8)}`;
}

/** The lowest twelve bits. */
function three(value: number): string {
  return hex[value & 0xfff] ?? '000';
}
