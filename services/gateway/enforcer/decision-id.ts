import { randomFillSync } from 'node:crypto';
import type { Clock } from '../../../shared/runtime/time/clock.ts';

/** A UUIDv7 has 48 bits of time, here followed by a counter of 12 bits and 62 random bits. */
const counterMax = 0xfff;
const firstCounterMask = 0x7f;
const wordsPerId = 2;
const poolIds = 512;

/** Text of each number of 12 bits, as three hexadecimal digits. */
const hex = Array.from({ length: counterMax + 1 }, (_, value) => value.toString(16).padStart(3, '0'));

/**
 * Returns a function that generates UUIDv7s (RFC 9562, method 1). The ids of a node sort in the order in which they
 * were generated: ids of the same millisecond differ in the counter, and when the counter is at its maximum, the next
 * id has a time one millisecond later. Random numbers are generated for 512 ids at a time, and their text is written at
 * once, so that an id costs a fraction of a microsecond.
 */
export function createDecisionIds(clock: Clock): () => string {
  const pool = new Uint32Array(poolIds * wordsPerId);
  const characters = Buffer.alloc(poolIds * tailLength);
  let tails = '';
  let position = poolIds;
  let lastMs = 0;
  let time = timePart(lastMs);
  let counter = 0;
  return () => {
    if (position === poolIds) {
      randomFillSync(pool);
      for (let id = 0; id < poolIds; id += 1) {
        writeTail(characters, id * tailLength, pool[id * wordsPerId] ?? 0, pool[id * wordsPerId + 1] ?? 0);
      }
      tails = characters.toString('latin1');
      position = 0;
    }
    const nowMs = clock.now();
    if (nowMs > lastMs) {
      lastMs = nowMs;
      time = timePart(lastMs);
      counter = (pool[position * wordsPerId] ?? 0) & firstCounterMask;
    } else if (++counter > counterMax) {
      lastMs += 1;
      time = timePart(lastMs);
      counter = 0;
    }
    const at = position * tailLength;
    position += 1;
    return `${time}${hex[counter] ?? ''}${tails.slice(at, at + tailLength)}`;
  };
}

/** Returns the beginning of an id, `xxxxxxxx-xxxx-7`, which all ids of one millisecond share. */
function timePart(ms: number): string {
  const digits = ms.toString(16).padStart(12, '0');
  return `${digits.slice(0, 8)}-${digits.slice(8)}-7`;
}

const digits = Buffer.from('0123456789abcdef');
const variants = Buffer.from('89ab');
const dash = 0x2d;
/** Length of the end of an id, `-vxxx-xxxxxxxxxxxx`, in which `v` has the two bits of the variant. */
const tailLength = 18;

/** Writes the end of an id: the variant with two random bits, and 15 random digits. */
function writeTail(characters: Buffer, from: number, high: number, low: number): void {
  characters[from] = dash;
  characters[from + 1] = variants[high & 3] ?? 0;
  writeDigits(characters, from + 2, 3, high >>> 2);
  characters[from + 5] = dash;
  writeDigits(characters, from + 6, 8, low);
  writeDigits(characters, from + 14, 4, high >>> 14);
}

/** Writes the lowest bits of a number as hexadecimal digits, the lowest digit first. */
function writeDigits(characters: Buffer, from: number, count: number, bits: number): void {
  for (let digit = 0; digit < count; digit += 1)
    characters[from + digit] = digits[(bits >>> (4 * digit)) & 0xf] ?? 0;
}
